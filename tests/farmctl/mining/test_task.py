"""Work as a task, and the judging of solutions."""

from __future__ import annotations

import pytest

from drivers.base import CuckooSolution
from drivers.selftest import CUCKOO_ANSWER, CUCKOO_JOB, MAINNET_JOB, MAINNET_PROOF
from farmctl.errors import BadWork
from farmctl.messages import Work
from farmctl.mining.task import judge, read_work
from node.spec.cuckoo import Verdict, solution_hash


def work(**changes: object) -> Work:
    known = Work(
        chain="test",
        seal_hash=CUCKOO_JOB.header.hex(),
        target="f" * 64,
        height=1,
        edge_bits=CUCKOO_JOB.edge_bits,
        compression_rounds=4,
        finalisation_rounds=8,
    )
    return known.model_copy(update=changes)


def test_known_cycles_pass_and_others_do_not() -> None:
    task = read_work(work())
    assert task.job == CUCKOO_JOB
    assert judge(task, CUCKOO_ANSWER) is Verdict.OK
    other = CuckooSolution(CUCKOO_ANSWER.nonce + 1, CUCKOO_ANSWER.edges)
    assert judge(task, other) is not Verdict.OK
    mainnet = read_work(work(seal_hash=MAINNET_JOB.header.hex(), edge_bits=30))
    assert judge(mainnet, MAINNET_PROOF) is Verdict.OK
    assert mainnet.holds(MAINNET_PROOF.edges) and not task.holds(MAINNET_PROOF.edges)


def test_the_target_bounds_the_hash_of_the_solution() -> None:
    edges = CUCKOO_ANSWER.edges
    value = int.from_bytes(solution_hash(edges), "big")
    assert read_work(work(target=f"{value:064x}")).meets_target(edges)
    assert not read_work(work(target=f"{value - 1:064x}")).meets_target(edges)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"target": "0" * 64}, "target is 0"),
        ({"target": "f" * 66}, "32 bytes, not 33"),
        ({"target": "0x" + "f" * 62}, "not hexadecimal"),
        ({"seal_hash": "f" * 62}, "32 bytes, not 31"),
    ],
)
def test_work_that_nobody_can_search_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(BadWork, match=why):
        read_work(work(**changes))
