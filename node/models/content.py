"""Proving files by the infohash that names them, whatever lengths of pieces their maker chose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from node.models.bencoding import Bencodable, bdecode, bencode
from node.models.errors import MalformedModel, ModelCorrupt
from node.models.storage import DATA, PARAMETERS, SYMBOL
from node.models.torrent import (
    PIECE_BYTES,
    PIECE_BYTES_LIMIT,
    ROOT,
    TorrentInfo,
    choose_piece_bytes,
    describe_file,
    describe_folder,
)

#: The protocol's limit on the raw size of a model or an input.
CONTENT_BYTES_LIMIT = 1 << 30
#: Of an info dictionary; 20 bytes for each piece.
INFO_BYTES_LIMIT = 4 << 20
LAYOUTS = ({DATA}, {SYMBOL, PARAMETERS})


@dataclass(frozen=True)
class Layout:
    """What an info dictionary says of its files."""

    sizes: Mapping[str, int]
    """Bytes by name, in the order in which they are hashed."""
    piece_bytes: int
    pieces: bytes
    """SHA-1 of each piece, end to end."""

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def matches(self, files: Mapping[str, bytes]) -> bool:
        """Whether these are the files, by every piece's hash."""
        if {name: len(content) for name, content in files.items()} != dict(self.sizes):
            return False
        content = b"".join(files[name] for name in self.sizes)
        view = memoryview(content)
        starts = range(0, len(content), self.piece_bytes)
        found = (_sha1(view[at : at + self.piece_bytes]) for at in starts)
        return b"".join(found) == self.pieces


def read_layout(infohash: bytes, info: bytes) -> Layout:
    """Files that an encoded info dictionary describes.

    Raises:
        ModelCorrupt: the infohash is not that of ``info``.
        MalformedModel: it is neither a model (``data/{symbol,params}``) nor an input (``data``).
    """
    if len(info) > INFO_BYTES_LIMIT or not is_named(infohash, info):
        raise ModelCorrupt(f"the torrent is not the one of {infohash.hex()}")
    fields = bdecode(info)
    if not isinstance(fields, dict) or fields.get(b"name") != ROOT.encode():
        raise MalformedModel(f"{infohash.hex()} is no torrent named {ROOT!r}")
    piece_bytes, pieces = fields.get(b"piece length"), fields.get(b"pieces")
    sizes = _sizes(fields)
    if not isinstance(piece_bytes, int) or not isinstance(pieces, bytes) or piece_bytes <= 0:
        raise MalformedModel(f"{infohash.hex()} has no pieces")
    layout = Layout(sizes, piece_bytes, pieces)
    if set(sizes) not in LAYOUTS or not 0 < layout.size <= CONTENT_BYTES_LIMIT:
        raise MalformedModel(f"{infohash.hex()} is no model and no input: {list(sizes)}")
    return layout


def prove(infohash: bytes, files: Mapping[str, bytes], info: bytes | None = None) -> bytes:
    """The info dictionary by which these are the files of the infohash; ``info`` is tried first.

    Raises `ModelCorrupt` where they are not, `MalformedModel` where they are neither a model's
    nor an input's.
    """
    if set(files) not in LAYOUTS:
        raise MalformedModel(f"{sorted(files)} are no files of a model or an input")
    if info is not None and is_named(infohash, info):
        if read_layout(infohash, info).matches(files):
            return info
        raise ModelCorrupt(f"{infohash.hex()} is damaged")
    for candidate in _describe(files):
        if candidate.infohash == infohash:
            return candidate.encode()
    raise ModelCorrupt(f"{infohash.hex()} is damaged, or cut into pieces of an unknown length")


def describe(files: Mapping[str, bytes]) -> TorrentInfo:
    """Info of a model's or an input's files, as this node makes it."""
    return next(_describe(files))


def write_torrent(info: bytes) -> bytes:
    """A .torrent file of an encoded info dictionary."""
    return b"d4:info" + info + b"e"


def read_torrent(torrent: bytes) -> bytes:
    """The encoded info dictionary of a .torrent file; raises `MalformedModel`."""
    fields = bdecode(torrent)
    info = fields.get(b"info") if isinstance(fields, dict) else None
    if not isinstance(info, dict):
        raise MalformedModel("the torrent has no info dictionary")
    return bencode(info)


def _describe(files: Mapping[str, bytes]) -> Iterator[TorrentInfo]:
    """The usual length of pieces first, then the others."""
    usual = choose_piece_bytes(sum(map(len, files.values())))
    lengths = [PIECE_BYTES << n for n in range((PIECE_BYTES_LIMIT // PIECE_BYTES).bit_length())]
    for length in sorted(lengths, key=lambda length: length != usual):
        if set(files) == {DATA}:
            yield describe_file(files[DATA], piece_bytes=length)
        else:
            yield describe_folder(files, piece_bytes=length)


def _sizes(fields: dict[bytes, Bencodable]) -> dict[str, int]:
    """Raises `MalformedModel` where a file is not plainly in the folder, or twice."""
    length, listed = fields.get(b"length"), fields.get(b"files")
    if isinstance(length, int) and listed is None:
        return {DATA: length}
    sizes: dict[str, int] = {}
    for each in listed if isinstance(listed, list) else []:
        path = each.get(b"path") if isinstance(each, dict) else None
        size = each.get(b"length") if isinstance(each, dict) else None
        if not isinstance(path, list) or len(path) != 1 or not isinstance(size, int) or size < 0:
            raise MalformedModel("the torrent lists a file without path or length")
        name = path[0].decode(errors="replace") if isinstance(path[0], bytes) else ""
        if name in sizes:
            raise MalformedModel(f"the torrent lists {name!r} twice")
        sizes[name] = size
    return sizes


def is_named(infohash: bytes, info: bytes) -> bool:
    """Whether this is the info dictionary that the infohash names."""
    return _sha1(info) == infohash


def _sha1(content: bytes | memoryview) -> bytes:
    return hashlib.sha1(content, usedforsecurity=False).digest()
