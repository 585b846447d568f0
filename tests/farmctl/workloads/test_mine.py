"""Mining: ranges of nonces and targets."""

from __future__ import annotations

import itertools

import pytest

from drivers.base import CuckooSolution
from farmctl.bus import Bus
from farmctl.domain import Priority, Workload
from farmctl.errors import BusError
from farmctl.memory_bus import MemoryBus
from farmctl.messages import AssignmentMessage, Message, Submission, SubmissionReply, Work
from farmctl.workloads.base import Place
from farmctl.workloads.mine import BITS_PER_RANGE, create, first_nonce, meets_target
from node.spec.cuckoo import solution_hash
from tests.farmctl.rig_bench import Told

SEAL = "ab" * 32


def test_ranges_of_devices_runs_and_works_are_disjoint() -> None:
    devices = [f"rig-{rig}/cuda:{index}" for rig in range(50) for index in range(8)]
    starts = [
        first_nonce(device, run, seal)
        for device, run, seal in itertools.product(devices, ["r1", "r2"], [SEAL])
    ]
    assert len(set(starts)) == len(starts)
    assert all(start % 2**BITS_PER_RANGE == 0 for start in starts)
    assert all(start >= 0 and start + 2**BITS_PER_RANGE <= 2**64 for start in starts)
    assert first_nonce("a/cpu:0", "r", SEAL) != first_nonce("a/cpu:0", "r", "cd" * 32)


def test_the_target_bounds_the_hash_of_the_solution() -> None:
    edges = tuple(range(42))
    value = int.from_bytes(solution_hash(edges), "big")
    assert meets_target(edges, f"{value:064x}")
    assert not meets_target(edges, f"{value - 1:064x}")
    assert meets_target(edges, "f" * 64)


class Judge:
    """Takes each solution once, as the node does."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    async def __call__(self, submission: Submission) -> SubmissionReply:
        if submission.nonce in self.seen:
            return SubmissionReply(outcome="rejected", duplicate=True, detail="sent before")
        self.seen.add(submission.nonce)
        return SubmissionReply(outcome="accepted")


async def submit(place: Place, bus: Bus) -> None:
    work = Work(
        chain="farmnet",
        seal_hash=SEAL,
        target="f" * 64,
        height=1,
        edge_bits=12,
        compression_rounds=4,
        finalisation_rounds=8,
    )
    solution = CuckooSolution(7, tuple(range(42)))
    wanted = AssignmentMessage(
        device="cpu:0", workload=Workload.MINE, priority=Priority.MINING, reason="test"
    )
    await create(place, wanted).submit(bus, work, solution)


async def test_a_share_whose_reply_was_lost_counts_as_accepted(
    place: Place, told: Told, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bus.serve("node.submit", Submission, Judge())
    ask = bus.request
    replies = itertools.count()

    async def lose_first_reply(subject: str, message: Message, form: type[Message]) -> Message:
        reply = await ask(subject, message, form)
        if next(replies) == 0:
            raise BusError("the reply is lost")
        return reply

    monkeypatch.setattr(bus, "request", lose_first_reply)
    await submit(place, bus)
    assert [event.outcome for event in told] == ["accepted"]


async def test_a_share_sent_twice_is_rejected(place: Place, told: Told, bus: MemoryBus) -> None:
    await bus.serve("node.submit", Submission, Judge())
    await submit(place, bus)
    await submit(place, bus)
    assert [event.outcome for event in told] == ["accepted", "rejected"]
