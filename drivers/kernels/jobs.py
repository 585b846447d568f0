"""What a job has to fulfil on every device."""

from __future__ import annotations

from drivers.base import CuckooJob
from drivers.errors import BadArgument
from drivers.kernels.graphs import (
    MAX_EDGE_BITS,
    MAX_HEADER_BYTES,
    MAX_PROOF_SIZE,
    MAX_ROUNDS,
    MIN_EDGE_BITS,
    NonceForm,
    keys_of,
)

SEAL_HASH_BYTES = 32


def check_job(job: CuckooJob, nonce: int) -> None:
    """Raises `BadArgument` for a job outside the family of graphs."""
    _check_header(job)
    if not MIN_EDGE_BITS <= job.edge_bits <= MAX_EDGE_BITS:
        raise BadArgument(
            f"edge bits must be {MIN_EDGE_BITS} to {MAX_EDGE_BITS}, not {job.edge_bits}"
        )
    if job.proof_size % 2 or not 2 <= job.proof_size <= MAX_PROOF_SIZE:
        raise BadArgument(
            f"the proof size must be even, 2 to {MAX_PROOF_SIZE}, not {job.proof_size}"
        )
    if len(job.rounds) != 2 or not all(1 <= r <= MAX_ROUNDS for r in job.rounds):
        raise BadArgument(f"siphash rounds must be two numbers of 1 to {MAX_ROUNDS}")
    if not 0 <= nonce < job.nonce_form.nonces:
        raise BadArgument(f"the nonce must be below {job.nonce_form.nonces}, not {nonce}")


def _check_header(job: CuckooJob) -> None:
    length = len(job.header)
    if job.nonce_form is NonceForm.CORTEX and length != SEAL_HASH_BYTES:
        raise BadArgument(f"the header must be a seal hash of 32 bytes, not {length}")
    if not 1 <= length <= MAX_HEADER_BYTES:
        raise BadArgument(f"the header must be 1 to {MAX_HEADER_BYTES} bytes, not {length}")


def keys_of_job(job: CuckooJob, nonce: int) -> tuple[int, ...]:
    """The four siphash keys of the job's graph. Raises `BadArgument` for a bad job."""
    check_job(job, nonce)
    return keys_of(job.header, nonce, job.nonce_form)
