"""Keccak-256, BLAKE2b-256 and secp256k1 signatures."""

from __future__ import annotations

import hashlib

import sha3
from coincurve import PrivateKey, PublicKey

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def keccak(data: bytes) -> bytes:
    """Keccak-256 with the padding of Ethereum, 32 bytes."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def blake2b_256(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


#: Hash of no code, root of an empty trie, hash of an empty list of uncles.
EMPTY_CODE_HASH = keccak(b"")
EMPTY_ROOT = keccak(b"\x80")
EMPTY_UNCLES_HASH = keccak(b"\xc0")


def public_address(key: PublicKey) -> bytes:
    """The 20-byte address of a public key."""
    return keccak(key.format(compressed=False)[1:])[12:]


def recover_address(digest: bytes, parity: int, r: int, s: int) -> bytes | None:
    """The address that signed ``digest``, or None where the signature is of no one.

    ``parity`` is 0 or 1. The upper half of s is accepted; transactions refuse it themselves.
    """
    if parity not in (0, 1) or not (0 < r < CURVE_ORDER and 0 < s < CURVE_ORDER):
        return None
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((parity,))
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        return None
    return public_address(key)


def private_address(secret: bytes) -> bytes:
    """The address of a 32-byte private key."""
    return public_address(PrivateKey(secret).public_key)


def sign_digest(secret: bytes, digest: bytes) -> tuple[int, int, int]:
    """Sign 32 bytes; return (parity, r, s) with s in the lower half of the order."""
    signature = PrivateKey(secret).sign_recoverable(digest, hasher=None)
    r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
    return signature[64], r, s
