"""Hashes that came up already, on disk: however many, they take little memory."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from node.store.environment import Environment, Records
from node.store.walk import Read, Walk

SLICE = 500


class Seen:
    """A set of its own, gone when it is closed. Belongs to one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        self._env = Environment(folder, ("seen",), durable=False)

    def close(self) -> None:
        self._env.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def advance(
        self,
        walk: Walk,
        read: Read,
        limit: int = SLICE,
        use: Callable[[bytes], object] = lambda raw: None,
    ) -> None:
        """Go a slice on with a walk, and give each node to ``use``."""

        def work(seen: Records) -> None:
            nodes = walk.nodes(read, lambda key: seen.put_new("seen", key, b""), limit)
            deque(map(use, nodes), maxlen=0)

        self._env.write(work)

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those that never came up."""
        return self._env.read(lambda seen: [k for k in keys if seen.get("seen", k) is None])
