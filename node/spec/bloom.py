"""The 2048-bit filter over the addresses and topics of logs (yellow paper, 4.3.1)."""

from __future__ import annotations

from collections.abc import Iterable

from node.spec.crypto import keccak
from node.spec.types import Log

BLOOM_BYTES = 256


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """The filter of some logs, 256 bytes."""
    bits = 0
    for log in logs:
        for entry in (log.address, *log.topics):
            bits |= _bits(entry)
    return bits.to_bytes(BLOOM_BYTES, "big")


def merge_blooms(blooms: Iterable[bytes]) -> bytes:
    """The filter that holds what any of them does."""
    bits = 0
    for bloom in blooms:
        bits |= int.from_bytes(bloom, "big")
    return bits.to_bytes(BLOOM_BYTES, "big")


def may_contain(bloom: bytes, entry: bytes) -> bool:
    """False only if no log has this address or topic."""
    wanted = _bits(entry)
    return int.from_bytes(bloom, "big") & wanted == wanted


def _bits(entry: bytes) -> int:
    digest = keccak(entry)
    bits = 0
    for i in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[i : i + 2], "big") & 2047)
    return bits
