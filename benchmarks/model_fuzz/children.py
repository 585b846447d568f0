"""A process that takes cases, seen from outside: what it says, how it dies, how long it takes."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

#: A case may take so long; on a busy machine most of it is waiting.
CASE_SECONDS = 60.0


@dataclass(frozen=True)
class Finding:
    """A case that was not taken as it should."""

    number: int
    reason: str


class Child:
    """Takes the cases from a number on, until it dies or is left."""

    def __init__(self, first: int, module: str = "benchmarks.model_fuzz.taking") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(first)], stdout=subprocess.PIPE
        )
        self._number = first
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def outcomes(self, deadline: float) -> Iterator[tuple[int, str | Finding]]:
        """Number and outcome of each case until the deadline; a crash or a stall is the last."""
        assert self._process.stdout is not None
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if not selector.select(CASE_SECONDS):
                    yield self._number, Finding(self._number, f"takes over {CASE_SECONDS:g} s")
                    return
                # Not by a buffered reader: what it holds, the selector does not see.
                part = os.read(self._process.stdout.fileno(), 1 << 16)
                if not part:
                    status = self._process.wait()
                    yield self._number, Finding(self._number, f"the process ended with {status}")
                    return
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    yield from self._hear(json.loads(line))

    def _hear(self, said: dict[str, Any]) -> Iterator[tuple[int, str | Finding]]:
        self._number = said["case"]
        self.peak_bytes = max(self.peak_bytes, said.get("peak_bytes", 0))
        if "outcome" in said:
            yield self._number, said["outcome"]
        elif "finding" in said:
            yield self._number, Finding(self._number, said["finding"])
