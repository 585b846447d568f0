"""What the pool counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counts:
    """Since the process began."""

    shares: Counter[str] = field(default_factory=Counter)
    """By outcome: accepted, stale, duplicate, low_difficulty, invalid."""
    work: int = 0
    """Sum of the difficulties of accepted shares."""
    bad_lines: int = 0
    refused_connections: int = 0
    dropped_connections: int = 0
    """For silence, slow reading or too many lines."""
    bans: int = 0
    blocks: int = 0


@dataclass(frozen=True)
class Status:
    """The pool now, for people and Prometheus."""

    connections: int
    miners: int
    banned: int
    counts: Counts
