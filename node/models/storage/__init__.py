"""Where models and inputs are kept, by infohash, and whom they are fetched from.

A storage keeps contents: a class that fulfils `Storage`. A source gives contents that others
keep and offers ours to them: a class that fulfils `Source`, in a file of this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

SYMBOL: Final = "symbol"
PARAMETERS: Final = "params"
DATA: Final = "data"


@dataclass(frozen=True)
class Whereabouts:
    """Where a content lies, as last looked."""

    here: bool
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """Copies that others keep, by the source that counted them; sources that could not count
    are absent."""
    fetched_ratio: float | None = None
    """How much of it is here, while it is being fetched."""
    problem: str = ""
    """Why the last attempt to fetch it failed."""
    required: int = 1
    """Copies that the node's operator wants there to be."""

    @property
    def copies(self) -> int:
        return self.here + sum(self.elsewhere.values())

    @property
    def is_replicated(self) -> bool:
        return self.copies >= self.required


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

    def locate(self, infohash: bytes) -> Whereabouts: ...

    def remove(self, infohash: bytes) -> None: ...

    def __iter__(self) -> Iterator[bytes]:
        """The infohashes kept, ascending."""
        ...


class Interrupted(Exception):
    """The node stops; what was fetched so far stays for the next time."""


@dataclass(frozen=True)
class Errand:
    """A content to be fetched into a folder that may hold a part of it from before."""

    infohash: bytes
    folder: Path
    """Takes the files as ``data`` or ``data/{symbol,params}``."""
    limit_bytes: int
    """The source gives up before it writes more."""
    report: Callable[[float], None] = lambda ratio: None
    """To be told how much of it is there, and called often: it raises `Interrupted`."""


class Source(Protocol):
    """Others who keep contents. Called from several threads.

    Methods raise errors of `node.models.errors` and nothing else, `fetch` also `Interrupted`.
    """

    name: str

    def fetch(self, errand: Errand) -> bytes | None:
        """Write the files and return the info dictionary that names them, if it is known.
        The caller proves the files. Raises `ModelNotFound` where nobody gives it (in time)."""
        ...

    def offer(self, infohash: bytes, folder: Path, info: bytes) -> None:
        """Give a content that lies whole in ``folder`` to others from now on."""
        ...

    def learn(self, infohash: bytes, cid: str) -> None:
        """Note that a folder on IPFS is said to hold it."""
        ...

    def withdraw(self, infohash: bytes) -> None:
        """Give it no longer."""
        ...

    def release(self, infohash: bytes) -> None:
        """The files in the offered folder go away; what others keep stays."""
        ...

    def count_copies(self, infohash: bytes) -> int | None:
        """Whole copies that others keep; None where that cannot be said."""
        ...

    def close(self) -> None: ...
