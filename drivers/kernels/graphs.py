"""The family of graphs whose cycles are proofs of work, and its named members.

A graph has 2^edge_bits edges between two sides, u and v; edge e joins the nodes ``u(e)`` and
``v(e)``, numbers of edge_bits bits. Both come from SipHash under four keys, which are
blake2b-256(header ‖ nonce) as four little-endian words. `cuckoo_graph.h` is the same in C, for
processors and GPUs alike.

Sources: J. Tromp, github.com/tromp/cuckoo; Grin, core/src/pow; for Cortex the file
solution/ of CortexTheseus.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

MIN_EDGE_BITS, MAX_EDGE_BITS = 10, 32
MAX_PROOF_SIZE = 64
MAX_ROUNDS = 16
MAX_HEADER_BYTES = 1024
BLOCK_EDGES = 64
"""Edges of Cuckaroo that are hashed together, the siphash state carried from one to the next."""


class Cycle(StrEnum):
    """How edges are hashed, and which of them meet.

    CUCKAROO: hashed in blocks of 64; u and v are the halves of an edge's word; edges meet
    where they have a node in common.
    CUCKATOO: each end hashed by itself, u of 2e and v of 2e + 1; edges meet where their nodes
    differ in bit 0 and in nothing else.
    """

    CUCKAROO = "cuckaroo"
    CUCKATOO = "cuckatoo"

    @property
    def pair(self) -> int:
        """What a node is xored with to give the node that an edge has to have to meet it."""
        return int(self is Cycle.CUCKATOO)


class NonceForm(StrEnum):
    """How the nonce follows the header, as a format of `struct`."""

    CORTEX = "<Q"
    """Little-endian, after a seal hash of 32 bytes."""
    GRIN = ">Q"
    """Big-endian, after the header without proof of work."""
    TROMP = "<I"
    """Little-endian in 4 bytes: J. Tromp's programs and Grin's test vectors."""

    @property
    def nonces(self) -> int:
        return 1 << 8 * struct.calcsize(self.value)


@dataclass(frozen=True)
class Variant:
    """A member of the family that some chain uses. ``rounds`` of siphash are (compression,
    finalisation)."""

    name: str
    edge_bits: int
    rounds: tuple[int, int]
    cycle: Cycle
    nonce_form: NonceForm
    proof_size: int = 42


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        variant.name: variant
        for variant in (
            Variant("cuckaroo30-ctx", 30, (4, 8), Cycle.CUCKAROO, NonceForm.CORTEX),
            Variant("cuckaroo29", 29, (2, 4), Cycle.CUCKAROO, NonceForm.GRIN),
            Variant("cuckatoo31", 31, (2, 4), Cycle.CUCKATOO, NonceForm.GRIN),
            Variant("cuckatoo32", 32, (2, 4), Cycle.CUCKATOO, NonceForm.GRIN),
        )
    }
)


def keys_of(header: bytes, nonce: int, form: NonceForm = NonceForm.CORTEX) -> tuple[int, ...]:
    """The four siphash keys of a graph."""
    message = header + struct.pack(form.value, nonce)
    return struct.unpack("<4Q", hashlib.blake2b(message, digest_size=32).digest())
