"""ECRECOVER, SHA256, RIPEMD160."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from Crypto.Hash import RIPEMD160

from node.spec.crypto import recover_address
from node.spec.vm.frame import word_count


def word_price(base: int, per_word: int) -> Callable[[bytes], int]:
    return lambda data: base + per_word * word_count(len(data))


def recover(data: bytes) -> bytes:
    """The signer of (hash, v, r, s), 32 bytes each; nothing where there is none."""
    digest, v, r, s = (data.ljust(128, b"\0")[i : i + 32] for i in (0, 32, 64, 96))
    parity = int.from_bytes(v, "big") - 27
    address = recover_address(digest, parity, int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    return address.rjust(32, b"\0") if address is not None else b""


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def ripemd160(data: bytes) -> bytes:
    return RIPEMD160.new(data).digest().rjust(32, b"\0")
