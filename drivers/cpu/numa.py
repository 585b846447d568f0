"""Which processors are near which memory, where a machine has several nodes of them.

A solver's threads stay on one node; its memory is then there too, as the kernel puts a page where
it is first touched.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

Processors = frozenset[int]


def read_nodes(root: Path = Path("/")) -> list[Processors]:
    """The processors of each node that this process may use; nodes without any are left out.

    Source: the kernel's Documentation/ABI/stable/sysfs-devices-node.
    """
    usable = os.sched_getaffinity(0)
    folders = (root / "sys/devices/system/node").glob("node[0-9]*")
    lists = [folder / "cpulist" for folder in sorted(folders, key=lambda f: int(f.name[4:]))]
    nodes = [parse_processors(path.read_text()) & usable for path in lists if path.is_file()]
    return [node for node in nodes if node]


def parse_processors(text: str) -> Processors:
    """``0-3,8`` as the kernel writes lists of processors."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def place(solvers: int, threads: int, nodes: Sequence[Processors]) -> list[Processors | None]:
    """Where each of several solvers, of so many threads each, should run: in turn on the nodes
    that have as many processors, or on all where none has; None where there is only one node."""
    if len(nodes) < 2:
        return [None] * solvers
    large = [node for node in nodes if len(node) >= threads] or [frozenset().union(*nodes)]
    return [large[number % len(large)] for number in range(solvers)]
