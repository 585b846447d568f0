"""Where models and inputs are kept, by infohash.

A storage is a module in this folder with a class that fulfils `Storage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

SYMBOL, PARAMETERS, DATA = "symbol", "params", "data"


class Storage(Protocol):
    """Content named by its 20-byte BitTorrent v1 infohash.

    All methods raise errors of `node.models.errors`.
    """

    def put_model(self, symbol: bytes, parameters: bytes) -> bytes:
        """Keep a model and return its infohash. Keeping it twice changes nothing."""
        ...

    def put_input(self, content: bytes) -> bytes:
        """Keep an input (an ``.npy`` file) and return its infohash."""
        ...

    def read(self, infohash: bytes, file: str) -> bytes:
        """One file (``symbol``, ``params`` or ``data``), proved by the hash."""
        ...

    def read_model(self, infohash: bytes) -> tuple[bytes, bytes]:
        """Symbol and parameters, proved by the hash."""
        ...

    def contains(self, infohash: bytes) -> bool: ...

    def remove(self, infohash: bytes) -> None: ...

    def __iter__(self) -> Iterator[bytes]:
        """The infohashes kept, ascending."""
        ...
