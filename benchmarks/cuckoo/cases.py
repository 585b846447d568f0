"""What is measured: sizes of graphs, and how many of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from drivers.base import CuckooJob
from drivers.kernels.graphs import NonceForm

CORTEX, GRIN = (4, 8), (2, 4)
HEADER = bytes(76)
"""With the four bytes of the nonce the 80 zeros that the peer starts from."""


@dataclass(frozen=True)
class Case:
    edge_bits: int
    rounds: tuple[int, int]
    graphs: int
    """In a run, after the one that warms up."""
    pairs: int
    """Of runs: the peer's and ours, over the same graphs."""
    quick: bool
    """Whether it belongs to the quick measurement too."""

    @property
    def name(self) -> str:
        """As on the command line, e.g. ``29`` or ``30-ctx``."""
        return f"{self.edge_bits}{'-ctx' if self.rounds == CORTEX else ''}"

    @property
    def siphash(self) -> str:
        return f"{self.rounds[0]}-{self.rounds[1]}"

    @property
    def job(self) -> CuckooJob:
        return CuckooJob(HEADER, self.edge_bits, self.rounds, nonce_form=NonceForm.TROMP)


CASES = (
    Case(19, GRIN, 200, 7, True),
    Case(24, GRIN, 8, 7, True),
    Case(27, GRIN, 2, 5, False),
    Case(29, GRIN, 1, 5, False),
    Case(19, CORTEX, 200, 5, True),
    Case(24, CORTEX, 8, 5, False),
    Case(27, CORTEX, 2, 3, False),
    Case(30, CORTEX, 1, 3, False),
)


def choose(names: Sequence[str], quick: bool, pairs: int | None) -> tuple[Case, ...]:
    """The named cases, or those of the measurement. Raises `ValueError` for an unknown name."""
    if unknown := set(names) - {case.name for case in CASES}:
        known = ", ".join(case.name for case in CASES)
        raise ValueError(f"no size {', '.join(sorted(unknown))}; there are {known}")
    if pairs is not None and pairs < 1:
        raise ValueError("pairs must be at least 1")
    chosen = [c for c in CASES if (c.name in names if names else c.quick or not quick)]
    if quick:
        chosen = [replace(c, pairs=2, graphs=max(1, c.graphs // 4)) for c in chosen]
    return tuple(replace(c, pairs=pairs or c.pairs) for c in chosen)
