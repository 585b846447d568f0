"""Work of Capability.HASH_SHA256D: jobs, and the sessions that take them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drivers.base import Session


@dataclass(frozen=True)
class HashJob:
    """Double SHA-256 of an 80-byte header whose last four bytes are the nonce."""

    header: bytes
    """Its last four bytes count for nothing."""
    target: int
    """A hash, read little-endian, is good up to here."""

    def hash(self, nonce: int) -> int:
        content = self.header[:-4] + nonce.to_bytes(4, "little")
        inner = hashlib.sha256(content).digest()
        return int.from_bytes(hashlib.sha256(inner).digest(), "little")

    def meets(self, nonce: int) -> bool:
        return self.hash(nonce) <= self.target


class HashSession(Session, Protocol):
    def scan(
        self,
        job: HashJob,
        first_nonce: int,
        nonces: int,
        should_stop: Callable[[], bool],
        found: Callable[[int], None] | None = None,
    ) -> tuple[int, list[int]]:
        """Search ``nonces`` nonces from ``first_nonce`` on, not beyond 2^32; return how many were
        done (fewer if ``should_stop`` said so; then it is an estimate) and the good nonces,
        ascending, each hashed again on the host. Each is told to ``found`` as soon as it is
        there. A device that tells only hashes that end in 32 zero bits finds no easier ones."""
        ...
