"""Bencoding, the encoding of BitTorrent (BEP 3). Decoding takes the one canonical form alone."""

from __future__ import annotations

import re

from node.models.errors import MalformedModel

Bencodable = int | bytes | list["Bencodable"] | dict[bytes, "Bencodable"]

MAX_DEPTH = 16
_INTEGER = re.compile(rb"i(0|-?[1-9][0-9]{0,18})e")
_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,9}):")


def bencode(value: Bencodable) -> bytes:
    """Encode integers, byte strings, lists and dictionaries (keys sorted)."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, list):
        return b"l%be" % b"".join(bencode(item) for item in value)
    items = sorted(value.items())
    return b"d%be" % b"".join(bencode(key) + bencode(item) for key, item in items)


def bdecode(encoded: bytes) -> Bencodable:
    """Raises `MalformedModel` where it is no bencoding, or not the canonical one."""
    value, end = _decode(encoded, 0, MAX_DEPTH)
    if end != len(encoded) or bencode(value) != encoded:
        raise MalformedModel("the torrent is not in canonical bencoding")
    return value


def _decode(encoded: bytes, at: int, depth: int) -> tuple[Bencodable, int]:
    kind = encoded[at : at + 1]
    if kind == b"i" and (found := _INTEGER.match(encoded, at)):
        return int(found[1]), found.end()
    if kind.isdigit():
        return _decode_bytes(encoded, at)
    if kind not in (b"l", b"d") or not depth:
        raise MalformedModel(f"the torrent is no bencoding at byte {at}")
    items: list[Bencodable] = []
    at += 1
    while encoded[at : at + 1] != b"e":
        item, at = _decode(encoded, at, depth - 1)
        items.append(item)
    return (items if kind == b"l" else _pair(items)), at + 1


def _decode_bytes(encoded: bytes, at: int) -> tuple[bytes, int]:
    found = _LENGTH.match(encoded, at)
    end = found.end() + int(found[1]) if found else 0
    if not found or end > len(encoded):
        raise MalformedModel(f"the torrent is no bencoding at byte {at}")
    return encoded[found.end() : end], end


def _pair(items: list[Bencodable]) -> dict[bytes, Bencodable]:
    pairs: dict[bytes, Bencodable] = {}
    for key, value in zip(items[::2], items[1::2], strict=False):
        if not isinstance(key, bytes):
            raise MalformedModel("a dictionary of the torrent has a key that is no string")
        pairs[key] = value
    return pairs
