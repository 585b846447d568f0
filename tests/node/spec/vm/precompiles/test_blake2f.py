"""BLAKE2F against hashlib and the refusals of EIP-152."""

from __future__ import annotations

import hashlib
import struct

import pytest

from node.spec.vm.errors import PrecompileFailed
from node.spec.vm.precompiles import blake2f

#: Initial state of unkeyed BLAKE2b-512: the IV, the first word with the parameters in it.
STATE = bytes.fromhex(
    "48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
    "d182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f79217e1319cde05b"
)


def compress_once(message: bytes, rounds: int = 12) -> bytes:
    counter = struct.pack("<2Q", len(message), 0)
    return rounds.to_bytes(4, "big") + STATE + message.ljust(128, b"\0") + counter + b"\1"


@pytest.mark.parametrize("size", [0, 3, 64, 128])
def test_one_block_is_what_hashlib_says(size: int) -> None:
    message = bytes(range(size))
    assert blake2f.run(compress_once(message)) == hashlib.blake2b(message).digest()


def test_rounds_matter_and_cost() -> None:
    assert blake2f.run(compress_once(b"abc", 0)) != blake2f.run(compress_once(b"abc", 1))
    assert blake2f.price(compress_once(b"abc", 2**32 - 1)) == 2**32 - 1


@pytest.mark.parametrize("bad", [b"", bytes(212), bytes(214), compress_once(b"")[:-1] + b"\2"])
def test_a_malformed_input_is_refused(bad: bytes) -> None:
    with pytest.raises(PrecompileFailed):
        blake2f.run(bad)


def test_a_malformed_input_is_free() -> None:
    assert blake2f.price(bytes(212)) == 0
