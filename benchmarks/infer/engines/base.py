"""What the benchmark asks of an engine."""

from __future__ import annotations

import importlib.util
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.zoo.catalogue import Net

Images = NDArray[np.float32]
Scores = NDArray[np.float32] | NDArray[np.int32]


class Runner(Protocol):
    """A net that an engine has loaded, with a batch of images bound to it."""

    def run(self) -> Scores: ...

    def close(self) -> None: ...


class Engine(Protocol):
    """``prepare`` makes (once) the files that ``load`` reads; nothing of it is timed."""

    name: str

    def missing(self) -> str:
        """Why it cannot run here, or an empty text."""
        ...

    def refuses(self, net: Net, batch: int) -> str:
        """Why it does not run this, or an empty text."""
        ...

    def prepare(self, net: Net, batch: int) -> None: ...

    def load(self, net: Net, images: Images, threads: int) -> Runner: ...


def missing_package(name: str) -> str:
    found = importlib.util.find_spec(name)
    return "" if found else f"{name} is not installed; install farmctl[bench]"
