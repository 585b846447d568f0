"""The compression function of BLAKE2b (EIP-152, RFC 7693)."""

from __future__ import annotations

from blake2b import decode_and_compress

from node.spec.vm.errors import PrecompileFailed

INPUT_BYTES = 213


def price(data: bytes) -> int:
    """One unit a round; a malformed input is free and then refused."""
    return int.from_bytes(data[:4], "big") if len(data) == INPUT_BYTES else 0


def run(data: bytes) -> bytes:
    """``data`` is rounds (u32 big-endian), h, m, t (u64 little-endian) and the final flag."""
    if len(data) != INPUT_BYTES or data[212] > 1:
        raise PrecompileFailed("invalid input of the BLAKE2 compression function")
    return bytes(decode_and_compress(data))
