"""How solutions are judged: stale, duplicate, too easy and wrong are told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farmctl.cycles import verify_cycle
from node.errors import NoWork, SubmissionReason, SubmissionRefused
from node.spec.types import Block
from node.work import MAX_MINERS, VALID_BLOCKS, Hashrates, WorkDesk
from tests.node.test_store import BLANK
from tests.node.workshop import CHAIN, solve

Reason = SubmissionReason


def block(number: int = 1, difficulty: int = 2) -> Block:
    return Block(replace(BLANK, number=number, difficulty=difficulty))


@pytest.fixture
def desk() -> WorkDesk:
    return WorkDesk(CHAIN, verify_cycle)


def refused(desk: WorkDesk, seal_hash: bytes, nonce: int, edges: tuple[int, ...]) -> Reason:
    with pytest.raises(SubmissionRefused) as refusal:
        desk.seal(seal_hash, nonce, edges)
    return refusal.value.reason


def test_there_is_no_work_before_the_first(desk: WorkDesk) -> None:
    with pytest.raises(NoWork, match="no mining work available yet"):
        desk.current()


def test_a_solution_seals_its_block_once(desk: WorkDesk) -> None:
    package = desk.offer(block())
    assert desk.current() is package and package.target == 2**255
    sealed = solve(package.block.header)
    answer = (package.seal_hash, sealed.nonce_int(), sealed.solution)
    assert desk.seal(*answer) == Block(sealed)
    assert refused(desk, *answer) is Reason.DUPLICATE


def test_a_wrong_solution_is_invalid_and_may_be_corrected(desk: WorkDesk) -> None:
    package = desk.offer(block())
    sealed = solve(package.block.header)
    nonce, edges = sealed.nonce_int(), sealed.solution
    assert refused(desk, package.seal_hash, nonce, edges[:-1]) is Reason.INVALID
    assert refused(desk, package.seal_hash, nonce, (*edges[:-1], 1 << 10)) is Reason.INVALID
    other = refused(desk, package.seal_hash, nonce + 1, edges)
    assert other is Reason.INVALID
    assert desk.seal(package.seal_hash, nonce, edges).header == sealed


def test_a_solution_above_the_target_is_low(desk: WorkDesk) -> None:
    easy = solve(block(difficulty=1).header)
    package = desk.offer(block(difficulty=2**200))
    reason = refused(desk, package.seal_hash, easy.nonce_int(), easy.solution)
    assert reason is Reason.LOW_DIFFICULTY


def test_work_goes_stale_after_seven_blocks(desk: WorkDesk) -> None:
    old = desk.offer(block(1))
    sealed = solve(old.block.header)
    desk.offer(block(VALID_BLOCKS))
    desk.seal(old.seal_hash, sealed.nonce_int(), sealed.solution)
    desk.offer(block(1 + VALID_BLOCKS))
    assert refused(desk, old.seal_hash, 0, sealed.solution) is Reason.STALE
    assert refused(desk, bytes(32), 0, sealed.solution) is Reason.STALE


def test_hashrates_add_up_and_expire() -> None:
    now = [0.0]
    rates = Hashrates(lambda: now[0])
    assert rates.report(b"a" * 32, 5) and rates.report(b"b" * 32, 7)
    assert rates.report(b"a" * 32, 6)
    assert rates.total() == 13
    now[0] = 10.5
    assert rates.total() == 0
    for number in range(MAX_MINERS):
        assert rates.report(number.to_bytes(32, "big"), 1)
    assert not rates.report(b"x" * 32, 1)
