"""SHA-256's compression of one block (FIPS 180-4, 6.2.2), for the midstate that a mining chip
takes; `hashlib` gives none. Numbers are NumPy's, so that many blocks are compressed at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
BLOCK_BYTES = 64


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(number: int) -> int:
    """Rounded down, of a whole number of any size."""
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low


#: The first 32 bits of the fractions of the primes' square and cube roots.
START = np.array([math.isqrt(p << 64) % 2**32 for p in _primes(8)], np.uint32)
_ROUND = np.array([_cube_root(p << 96) % 2**32 for p in _primes(64)], np.uint32)


def compress(state: Sequence[Words] | Words, block: Sequence[Words] | Words) -> list[Words]:
    """The eight words of the state after one block of sixteen; each word may be an array."""
    schedule = _schedule(block)
    a, b, c, d, e, f, g, h = (np.atleast_1d(word) for word in state)
    for constant, word in zip(_ROUND, schedule, strict=True):
        choice, majority = e & f ^ ~e & g, a & b ^ a & c ^ b & c
        first = h + (_turn(e, 6) ^ _turn(e, 11) ^ _turn(e, 25)) + choice + constant + word
        second = (_turn(a, 2) ^ _turn(a, 13) ^ _turn(a, 22)) + majority
        a, b, c, d, e, f, g, h = first + second, a, b, c, d + first, e, f, g
    after = (a, b, c, d, e, f, g, h)
    return [np.atleast_1d(old) + new for old, new in zip(state, after, strict=True)]


def words_of(content: bytes) -> Words:
    """Big-endian words, as SHA-256 reads them."""
    return np.frombuffer(content, ">u4").astype(np.uint32)


def find_midstate(header: bytes) -> bytes:
    """The state after a header's first 64 bytes, its words big-endian."""
    state = compress(START, words_of(header[:BLOCK_BYTES]))
    return b"".join(int(word[0]).to_bytes(4, "big") for word in state)


def _schedule(block: Sequence[Words] | Words) -> list[Words]:
    words = [np.atleast_1d(word) for word in block]
    for n in range(16, 64):
        near, far = words[n - 15], words[n - 2]
        small = _turn(near, 7) ^ _turn(near, 18) ^ (near >> np.uint32(3))
        large = _turn(far, 17) ^ _turn(far, 19) ^ (far >> np.uint32(10))
        words.append(words[n - 16] + small + words[n - 7] + large)
    return words


def _turn(word: Words, bits: int) -> Words:
    return (word >> np.uint32(bits)) | (word << np.uint32(32 - bits))
