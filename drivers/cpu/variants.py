"""Ways to search graphs on the processors that are worth comparing."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.cpu.cuckoo import share_out
from drivers.kernels.graphs import Cycle

Options = dict[str, int | str]
#: Instruction sets to try where the processor's best is the first: wide vectors may slow its
#: clock down.
RIVALS = {"avx512": ("avx512", "avx2")}


def default_threads(processors: int) -> int:
    """All but one, which is left to the rest of the rig."""
    return max(1, processors - 1)


def list_variants(
    processors: int, isa: str, edge_bits: int, memory_limit_bytes: int
) -> list[Options]:
    """Options of a session: first none, which is all threads but one, shared out as the solver
    does, with the best instruction set ``isa``; then each other number of threads, sharing and
    instruction set."""
    counts = sorted({max(1, processors // 2), default_threads(processors), processors})
    found: list[Options] = []
    for threads in counts:
        usual, _ = share_out(threads, edge_bits, Cycle.CUCKAROO, memory_limit_bytes)
        for at_once in dict.fromkeys((usual, 1, threads)):
            options: Options = {"threads": threads}
            if at_once != usual:
                options["graphs_at_once"] = at_once
            found += _with_rivals(options, isa)
    return [{}, *(one for one in found if one != {"threads": default_threads(processors)})]


def _with_rivals(options: Options, isa: str) -> Iterator[Options]:
    for rival in RIVALS.get(isa, (isa,)):
        yield options if rival == isa else options | {"isa": rival}
