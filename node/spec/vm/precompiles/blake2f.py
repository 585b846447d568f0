"""The compression function of BLAKE2b (EIP-152, RFC 7693)."""

from __future__ import annotations

import struct

from node.spec.vm.errors import PrecompileFailed

INPUT_BYTES = 213
_MASK = 2**64 - 1
_IV = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)
_SIGMA = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_LANES = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)


def price(data: bytes) -> int:
    """One unit a round; a malformed input is free and then refused."""
    return int.from_bytes(data[:4], "big") if len(data) == INPUT_BYTES else 0


def run(data: bytes) -> bytes:
    """``data`` is rounds (u32 big-endian), h, m, t (u64 little-endian) and the final flag."""
    if len(data) != INPUT_BYTES or data[212] > 1:
        raise PrecompileFailed("invalid input of the BLAKE2 compression function")
    rounds = int.from_bytes(data[:4], "big")
    words = struct.unpack("<26Q", data[4:212])
    state, block, counter = words[:8], words[8:24], words[24:]
    work = [*state, *_IV]
    work[12] ^= counter[0]
    work[13] ^= counter[1]
    if data[212]:
        work[14] ^= _MASK
    for index in range(rounds):
        _mix_round(work, block, _SIGMA[index % 10])
    mixed = (state[i] ^ work[i] ^ work[i + 8] for i in range(8))
    return struct.pack("<8Q", *mixed)


def _mix_round(work: list[int], block: tuple[int, ...], order: tuple[int, ...]) -> None:
    for lane, (a, b, c, d) in enumerate(_LANES):
        _mix(work, a, b, c, d, block[order[2 * lane]], block[order[2 * lane + 1]])


def _mix(work: list[int], a: int, b: int, c: int, d: int, first: int, second: int) -> None:
    """The mixing function G; rotations are written out, for a block may pay for millions."""
    left, right = (work[a] + work[b] + first) & _MASK, work[d]
    right ^= left
    right = (right >> 32) | ((right << 32) & _MASK)
    low = (work[c] + right) & _MASK
    high = work[b] ^ low
    high = (high >> 24) | ((high << 40) & _MASK)
    left = (left + high + second) & _MASK
    right ^= left
    right = (right >> 16) | ((right << 48) & _MASK)
    low = (low + right) & _MASK
    high ^= low
    work[a], work[b] = left, (high >> 63) | ((high << 1) & _MASK)
    work[c], work[d] = low, right
