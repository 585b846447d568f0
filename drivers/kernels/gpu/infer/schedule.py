"""A plan laid out for one GPU: constants, one stretch of memory, and launches in order.

Addresses are not known yet: a pointer says in its top byte what it is counted from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.program import Step

Record = NDArray[np.void]
#: In a pointer's top byte: from where it is counted. 0: it is absent.
CONSTANTS, ARENA = 1, 2
_SHIFT = 56


def pointer(region: int, offset: int) -> int:
    return region << _SHIFT | offset


@dataclass(frozen=True)
class Launch:
    """Of one kernel, with its record by value."""

    kernel: str
    groups: tuple[int, int, int]
    lanes: int
    shared_bytes: int
    record: Record
    """One element."""


@dataclass(frozen=True)
class Place:
    """Words of a tensor in the arena."""

    tensor: int
    offset: int
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return 4 * math.prod(self.shape)


@dataclass(frozen=True)
class HostWork:
    """Steps that the host computes, between launches."""

    steps: tuple[Step, ...]
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]


Part = Launch | HostWork


@dataclass(frozen=True)
class Schedule:
    """``constants`` are copied once for all runs; every run at a time has an arena of its own,
    whose last ``zero_bytes`` are 0 before the first run (and after each)."""

    constants: NDArray[np.uint8]
    arena_bytes: int
    zero_bytes: int
    parts: tuple[Part, ...]
    source: Place
    heads: tuple[Place, ...]

    def bind(self, constants: int, arena: int) -> Iterator[Part]:
        """The parts with the addresses that the regions have got."""
        for part in self.parts:
            if isinstance(part, HostWork):
                yield part
                continue
            record = part.record.copy()
            _bind(record, {CONSTANTS: constants, ARENA: arena})
            yield Launch(part.kernel, part.groups, part.lanes, part.shared_bytes, record)


def _bind(record: Any, bases: dict[int, int]) -> None:
    for name in record.dtype.names or ():
        field = record[name]
        if field.dtype.names:
            _bind(field, bases)
        elif field.dtype == np.dtype("<u8"):
            value = int(field[0])
            if value:
                field[0] = bases[value >> _SHIFT] + (value & (1 << _SHIFT) - 1)
