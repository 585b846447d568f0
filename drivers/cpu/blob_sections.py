"""What lies behind a packed plan's records: weights, constants, factors, tables, steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.cpu import layers as native

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Piece:
    """Bytes of the blob that are written once it is laid out."""

    at: int
    size: int
    write: Callable[[Bytes], None]


class Sections:
    """Gives out places from byte ``start`` of the blob on, each a multiple of the alignment."""

    def __init__(self, start: int) -> None:
        self._end = start
        self._pieces: list[_Piece] = []

    @property
    def total_bytes(self) -> int:
        """Of the whole blob."""
        return align(self._end)

    def reserve(self, size: int, write: Callable[[Bytes], None]) -> int:
        """The place of ``size`` bytes that ``write`` fills later: memory is taken for no more
        than the blob itself."""
        at = align(self._end)
        self._pieces.append(_Piece(at, size, write))
        self._end = at + size
        return at

    def keep(self, array: NDArray[np.generic]) -> int:
        """The place of an array's bytes."""
        content = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        return self.reserve(content.size, lambda view: np.copyto(view, content))

    def write(self, blob: Bytes) -> None:
        for piece in self._pieces:
            piece.write(blob[piece.at : piece.at + piece.size])


def align(size: int) -> int:
    return -(-size // native.ALIGNMENT) * native.ALIGNMENT
