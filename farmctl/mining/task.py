"""Work as it is searched, and the judging of what a device finds for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.base import CuckooJob, CuckooSolution
from drivers.cpu import cuckoo
from drivers.kernels import graphs
from drivers.kernels.graphs import MAX_HEADER_BYTES
from farmctl.errors import BadWork
from farmctl.messages import Work
from node.spec.cuckoo import Cycle, Verdict
from node.spec.pow import ProofHash, ProofOfWork

HASH_BYTES = 32
NONCE_FORMS = {"little": graphs.NonceForm.CORTEX, "big": graphs.NonceForm.GRIN}


@dataclass(frozen=True)
class Task:
    """Work that has been found sound. ``target`` is at least 1 and below 2^256."""

    work: Work
    pow: ProofOfWork
    job: CuckooJob
    target: int

    def holds(self, edges: tuple[int, ...]) -> bool:
        """Whether a solution may look like this; the rest of a verdict takes longer."""
        return self.pow.is_proof(edges)

    def meets_target(self, edges: tuple[int, ...]) -> bool:
        return self.pow.digest(edges) <= self.target


def make_work(name: str, pow: ProofOfWork, header: bytes, target: int, height: int) -> Work:
    """What devices are told to search: ``header`` is what the nonce is appended to."""
    return Work(
        chain=name,
        seal_hash=header.hex(),
        target=target.to_bytes(HASH_BYTES, "big").hex(),
        height=height,
        edge_bits=pow.edge_bits,
        compression_rounds=pow.rounds[0],
        finalisation_rounds=pow.rounds[1],
        proof_size=pow.proof_size,
        cycle=pow.cycle.value,
        nonce_order=pow.nonce_order,
        proof_hash=pow.proof_hash.value,
    )


def read_work(work: Work) -> Task:
    """Raises `BadWork` for work that no device can search."""
    target = int.from_bytes(_bytes(work.target, "target", HASH_BYTES), "big")
    if target == 0:
        raise BadWork("the target is 0, which no solution meets; look at the node's difficulty")
    pow = ProofOfWork(
        work.edge_bits,
        (work.compression_rounds, work.finalisation_rounds),
        Cycle(work.cycle),
        work.nonce_order,
        ProofHash(work.proof_hash),
        work.proof_size,
    )
    is_seal_hash = NONCE_FORMS[work.nonce_order] is graphs.NonceForm.CORTEX
    header = _bytes(work.seal_hash, "seal hash", HASH_BYTES if is_seal_hash else None)
    return Task(work, pow, make_job(pow, header), target)


def make_job(pow: ProofOfWork, header: bytes) -> CuckooJob:
    """What a device searches."""
    return CuckooJob(
        header,
        pow.edge_bits,
        pow.rounds,
        pow.proof_size,
        graphs.Cycle(pow.cycle.value),
        NONCE_FORMS[pow.nonce_order],
    )


def judge(task: Task, solution: CuckooSolution) -> Verdict:
    """The verdict of the node's own verifier, which shares no code with any device's. Takes
    about 10 ms."""
    return task.pow.verify(task.job.header, solution.nonce, solution.edges)


def verify_proof(pow: ProofOfWork, header: bytes, nonce: int, edges: Sequence[int]) -> bool:
    """The native verifier."""
    return cuckoo.verify(make_job(pow, header), nonce, edges) is cuckoo.Proof.OK


def _bytes(text: str, what: str, size: int | None) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        raise BadWork(f"the {what} is not hexadecimal: {text[:80]!r}") from None
    if size is not None and len(found) != size:
        raise BadWork(f"the {what} must be {size} bytes, not {len(found)}")
    if not 1 <= len(found) <= MAX_HEADER_BYTES:
        raise BadWork(f"the {what} must be 1 to {MAX_HEADER_BYTES} bytes, not {len(found)}")
    return found
