"""What becomes of solutions: sent, held back as stale, found wrong."""

from __future__ import annotations

import itertools

import pytest

from drivers.base import CuckooSolution
from drivers.errors import WrongAnswer
from drivers.selftest import CUCKOO_ANSWER, CUCKOO_JOB
from farmctl.errors import BusError
from farmctl.memory_bus import MemoryBus
from farmctl.messages import Message, Submission, SubmissionReply, Work
from farmctl.mining.shares import CHECK_SECONDS, Shares
from farmctl.mining.task import read_work
from farmctl.workloads.base import Place
from tests.farmctl.rig_bench import Told

WORK = Work(
    chain="farmnet",
    seal_hash=CUCKOO_JOB.header.hex(),
    target="f" * 64,
    height=5,
    edge_bits=CUCKOO_JOB.edge_bits,
    compression_rounds=4,
    finalisation_rounds=8,
)
HARD = WORK.model_copy(update={"target": f"{1:064x}"})
WRONG = CuckooSolution(CUCKOO_ANSWER.nonce + 1, CUCKOO_ANSWER.edges)


class Judge:
    """Takes each solution once, as the node does."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def __call__(self, submission: Submission) -> SubmissionReply:
        if submission.nonce in self.seen:
            return SubmissionReply(outcome="rejected", duplicate=True, detail="sent before")
        self.seen.append(submission.nonce)
        return SubmissionReply(outcome="accepted")


@pytest.fixture
async def node(bus: MemoryBus) -> Judge:
    judge = Judge()
    await bus.serve("node.submit", Submission, judge)
    return judge


async def take(
    place: Place, bus: MemoryBus, *solutions: CuckooSolution, of: Work = WORK, now: Work = WORK
) -> None:
    shares, task = Shares(place, lambda: now), read_work(of)
    for solution in solutions:
        await shares.take(bus, task, solution)


async def test_one_share_of_a_graph_is_sent(
    place: Place, told: Told, bus: MemoryBus, node: Judge
) -> None:
    await take(place, bus, CUCKOO_ANSWER, CUCKOO_ANSWER)
    assert [event.outcome for event in told] == ["accepted", "stale"]
    assert node.seen == [CUCKOO_ANSWER.nonce]


async def test_what_the_node_rejects_is_told(
    place: Place, told: Told, bus: MemoryBus, node: Judge
) -> None:
    await take(place, bus, CUCKOO_ANSWER)
    await take(place, bus, CUCKOO_ANSWER)
    assert [event.outcome for event in told] == ["accepted", "rejected"]


async def test_a_share_whose_reply_was_lost_counts_as_accepted(
    place: Place, told: Told, bus: MemoryBus, node: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = bus.request
    replies = itertools.count()

    async def lose_first_reply(subject: str, message: Message, form: type[Message]) -> Message:
        reply = await ask(subject, message, form)
        if next(replies) == 0:
            raise BusError("the reply is lost")
        return reply

    monkeypatch.setattr(bus, "request", lose_first_reply)
    await take(place, bus, CUCKOO_ANSWER)
    assert [event.outcome for event in told] == ["accepted"]


async def test_a_solution_of_a_past_height_is_not_sent(
    place: Place, told: Told, bus: MemoryBus, node: Judge
) -> None:
    past = WORK.model_copy(update={"seal_hash": "ab" * 32, "height": 6})
    await take(place, bus, CUCKOO_ANSWER, now=past)
    assert not node.seen
    assert [(e.outcome, e.height, e.detail) for e in told] == [
        ("stale", 5, "not sent: the work is at height 6 by now")
    ]


async def test_a_solution_of_a_template_of_the_same_height_is_sent(
    place: Place, told: Told, bus: MemoryBus, node: Judge
) -> None:
    sibling = WORK.model_copy(update={"seal_hash": "ab" * 32})
    await take(place, bus, CUCKOO_ANSWER, now=sibling)
    assert node.seen == [CUCKOO_ANSWER.nonce]


async def test_what_misses_the_target_is_not_sent(
    place: Place, told: Told, bus: MemoryBus, node: Judge
) -> None:
    await take(place, bus, CUCKOO_ANSWER, of=HARD)
    assert not node.seen and not told


@pytest.mark.parametrize("work", [WORK, HARD])
async def test_a_wrong_solution_is_found_out(
    place: Place, told: Told, bus: MemoryBus, node: Judge, work: Work
) -> None:
    """Whether it would have been sent or not."""
    with pytest.raises(WrongAnswer, match="nothing was sent"):
        await take(place, bus, WRONG, of=work)
    assert [event.outcome for event in told] == ["invalid"]
    assert not node.seen


async def test_what_is_not_sent_is_verified_now_and_then(
    place: Place, told: Told, bus: MemoryBus, node: Judge
) -> None:
    now = 0.0
    shares = Shares(place, lambda: HARD, lambda: now)
    for solution in (CUCKOO_ANSWER, WRONG):
        await shares.take(bus, read_work(HARD), solution)
    now = CHECK_SECONDS - 1
    await shares.take(bus, read_work(HARD), WRONG)
    assert not told
    now = CHECK_SECONDS
    with pytest.raises(WrongAnswer):
        await shares.take(bus, read_work(HARD), WRONG)
    assert [event.outcome for event in told] == ["invalid"] and not node.seen


async def test_every_solution_that_is_sent_was_verified(
    place: Place, told: Told, bus: MemoryBus, node: Judge
) -> None:
    with pytest.raises(WrongAnswer):
        await take(place, bus, CUCKOO_ANSWER, WRONG)
    assert node.seen == [CUCKOO_ANSWER.nonce]
    assert [event.outcome for event in told] == ["accepted", "invalid"]


async def test_a_node_that_is_away_makes_a_share_stale(
    place: Place, told: Told, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmctl.mining.shares.RETRY_SECONDS", 0.0)
    await take(place, bus, CUCKOO_ANSWER)
    assert [(e.outcome, e.detail) for e in told] == [("stale", "the node could not be reached")]
