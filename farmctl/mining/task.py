"""A piece of work as it is searched, and the judging of what a device finds for it."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.base import CuckooJob, CuckooSolution
from farmctl.errors import BadWork
from farmctl.messages import Work
from node.spec.cuckoo import Verdict, graph_header, solution_hash, verify

HASH_BYTES = 32


@dataclass(frozen=True)
class Task:
    """Work that has been found sound. ``target`` is at least 1 and below 2^256."""

    work: Work
    job: CuckooJob
    target: int

    def holds(self, edges: tuple[int, ...]) -> bool:
        """Whether a solution may look like this; the rest of a verdict takes longer."""
        fit = all(0 <= edge < 1 << self.job.edge_bits for edge in edges)
        return fit and len(edges) == self.job.proof_size

    def meets_target(self, edges: tuple[int, ...]) -> bool:
        return int.from_bytes(solution_hash(edges), "big") <= self.target


def read_work(work: Work) -> Task:
    """Raises `BadWork` for work that no device can search."""
    target = int.from_bytes(_bytes(work.target, "target"), "big")
    if target == 0:
        raise BadWork("the target is 0, which no solution meets; look at the node's difficulty")
    rounds = (work.compression_rounds, work.finalisation_rounds)
    header = _bytes(work.seal_hash, "seal hash")
    return Task(work, CuckooJob(header, work.edge_bits, rounds, work.proof_size), target)


def judge(task: Task, solution: CuckooSolution) -> Verdict:
    """The verdict of the node's own verifier, which shares no code with any device's. Takes
    about 10 ms."""
    job = task.job
    header = graph_header(job.header, solution.nonce)
    return verify(header, solution.edges, job.edge_bits, job.rounds, job.proof_size)


def _bytes(text: str, what: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        raise BadWork(f"the {what} is not hexadecimal: {text[:80]!r}") from None
    if len(found) != HASH_BYTES:
        raise BadWork(f"the {what} must be {HASH_BYTES} bytes, not {len(found)}")
    return found
