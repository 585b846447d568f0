"""The family of graphs against the numbers that its authors published."""

from __future__ import annotations

import pytest
from grin_vectors import CUCKAROO19, CUCKATOO, HEADER

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import Proof, verify
from drivers.errors import BadArgument
from drivers.kernels.graphs import VARIANTS, Cycle, NonceForm, keys_of
from drivers.kernels.jobs import keys_of_job


@pytest.mark.parametrize(("nonce", "keys", "edges"), CUCKAROO19)
def test_grins_cuckaroo19(nonce: int, keys: tuple[int, ...], edges: tuple[int, ...]) -> None:
    assert keys_of(HEADER, nonce, NonceForm.TROMP) == keys
    job = CuckooJob(HEADER, 19, (2, 4), nonce_form=NonceForm.TROMP)
    assert verify(job, nonce, edges) is Proof.OK
    assert verify(job, nonce + 1, edges) is not Proof.OK


@pytest.mark.parametrize(("edge_bits", "nonce", "edges"), CUCKATOO)
def test_grins_cuckatoo(edge_bits: int, nonce: int, edges: tuple[int, ...]) -> None:
    job = cuckatoo(edge_bits)
    assert verify(job, nonce, edges) is Proof.OK
    assert verify(job, nonce + 1, edges) is not Proof.OK
    for position in range(42):
        changed = list(edges)
        changed[position] ^= 1
        assert verify(job, nonce, changed) in (Proof.NON_MATCHING, Proof.TOO_SMALL)


def cuckatoo(edge_bits: int) -> CuckooJob:
    return CuckooJob(HEADER, edge_bits, (2, 4), cycle=Cycle.CUCKATOO, nonce_form=NonceForm.TROMP)


def test_jobs_of_named_variants() -> None:
    for variant in VARIANTS.values():
        job = CuckooJob.of(variant, bytes(32))
        assert (job.edge_bits, job.rounds, job.cycle) == (
            variant.edge_bits,
            variant.rounds,
            variant.cycle,
        )
        assert len(keys_of_job(job, 1)) == 4
    assert CuckooJob.of(VARIANTS["cuckaroo30-ctx"], bytes(32)) == CuckooJob(bytes(32), 30)


def test_nonce_forms() -> None:
    little, big = (
        keys_of(bytes(32), n, f) for n, f in ((1, NonceForm.CORTEX), (1 << 56, NonceForm.GRIN))
    )
    assert little == big == keys_of(bytes(32) + b"\1\0\0\0", 0, NonceForm.TROMP)


@pytest.mark.parametrize(
    ("job", "nonce"),
    [
        (CuckooJob(bytes(31), 12), 0),
        (CuckooJob(b"", 12, nonce_form=NonceForm.GRIN), 0),
        (CuckooJob(bytes(1025), 12, nonce_form=NonceForm.GRIN), 0),
        (CuckooJob(HEADER, 12, nonce_form=NonceForm.TROMP), 1 << 32),
        (CuckooJob(bytes(32), 12), -1),
        (CuckooJob(bytes(32), 33), 0),
        (CuckooJob(bytes(32), 12, (4, 17)), 0),
        (CuckooJob(bytes(32), 12, proof_size=41), 0),
    ],
)
def test_bad_jobs(job: CuckooJob, nonce: int) -> None:
    with pytest.raises(BadArgument):
        keys_of_job(job, nonce)
