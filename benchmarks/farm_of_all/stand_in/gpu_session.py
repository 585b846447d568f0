"""GPUs that search for cycles on one processor, slowly, with the faults that a file asks for.

In place of ``drivers.kernels.gpu.session``. A file ``faults/ADDRESS`` below the folder that
FARM_OF_ALL names holds ``wrong`` (edges of any but the known answer are spoiled), ``wrong always``
or ``gone``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from drivers.base import Capability, CuckooJob, CuckooSolution, Found, tell
from drivers.errors import DeviceLost, NotSupported
from drivers.selftest import CUCKOO_JOB, MAINNET_JOB

#: Lets the others have the processor.
REST_SECONDS = 0.03
CAPABILITIES = frozenset({Capability.CUCKOO})


def why_not(address: str) -> str:
    return ""


def variants(edge_bits: int) -> Sequence[Mapping[str, Any]]:
    return ({},)


class Search:
    def __init__(self, address: str) -> None:
        from drivers.cpu.cuckoo import CuckooSearch

        self._fault_file = Path(os.environ["FARM_OF_ALL"]) / "faults" / address
        self._inner = CuckooSearch(1, 1 << 28)

    def search(
        self,
        job: CuckooJob,
        first_nonce: int,
        graphs: int,
        should_stop: Callable[[], bool],
        found: Found | None = None,
    ) -> tuple[int, list[CuckooSolution]]:
        solutions: list[CuckooSolution] = []
        for done in range(graphs):
            if should_stop():
                return done, solutions
            _, new = self._inner.search(job, first_nonce + done, 1, lambda: False)
            new = [self._spoil(job, one) for one in new]
            tell(new, found)
            solutions += new
            time.sleep(REST_SECONDS)
        return graphs, solutions

    def verify(self, job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool:
        return self._inner.verify(job, nonce, edges)

    def close(self) -> None:
        self._inner.close()

    def _spoil(self, job: CuckooJob, solution: CuckooSolution) -> CuckooSolution:
        fault = self._fault_file.read_text() if self._fault_file.exists() else ""
        if fault == "gone":
            raise DeviceLost("the GPU has fallen off the bus in the middle of a graph")
        is_known = job in (CUCKOO_JOB, MAINNET_JOB)
        if fault == "wrong always" or (fault == "wrong" and not is_known):
            return replace(solution, edges=(*solution.edges[:-1], solution.edges[-1] ^ 1))
        return solution


def open_session(address: str, capability: Capability, **options: Any) -> Search:
    if capability not in CAPABILITIES:
        raise NotSupported(f"the stand-in of a GPU has no {capability}")
    return Search(address)


__all__ = ["CAPABILITIES", "Search", "open_session", "variants", "why_not"]
