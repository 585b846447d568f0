"""Which program is the peer of each size."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.cuckoo import program
from benchmarks.cuckoo.cases import CORTEX, GRIN, Case

#: A name with 48 after the algorithm's is of a build with SipHash-4-8; all others are 2-4.
CORTEX_NAME = re.compile(r"cuckaroo48\D")


@dataclass(frozen=True)
class Peers:
    """Programs by edge bits and siphash rounds; ``reason`` says why there are none."""

    programs: Mapping[tuple[int, tuple[int, int]], Path]
    reason: str = ""

    @classmethod
    def find(cls, place: Path | None) -> Self:
        """Look at a program, or at each program of a folder. Raises `ValueError` where there is
        no such thing, or where none of it is a Cuckaroo solver."""
        if place is None:
            return cls({}, "no peer was given")
        candidates = [place] if place.is_file() else sorted(place.glob("*"))
        programs = {}
        for path in candidates:
            if path.is_file() and os.access(path, os.X_OK):
                found = program.title([str(path)])
                if found is not None and found[0].startswith("cuckaroo") and found[2] == 42:
                    rounds = CORTEX if CORTEX_NAME.match(path.name) else GRIN
                    programs[found[1], rounds] = path
        if not programs:
            raise ValueError(f"{place} holds no program that looks for 42-cycles on cuckaroo")
        return cls(programs)

    def of(self, case: Case) -> list[str] | None:
        """The peer's command for a case, or None."""
        path = self.programs.get((case.edge_bits, case.rounds))
        return None if path is None else [str(path)]

    def describe(self) -> dict[str, Any]:
        names = sorted(path.name for path in self.programs.values())
        return {"programs": names} if names else {"absent": self.reason}
