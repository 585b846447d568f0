"""A runner in this process: pauses, and in whose name it reports what fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from farmctl.agent import runner as module
from farmctl.agent.lines import Assign, Happened, Line, State
from farmctl.agent.link import BusLink
from farmctl.agent.runner import Runner
from farmctl.config import Config
from farmctl.domain import Priority, Workload
from farmctl.memory_bus import MemoryBus
from farmctl.messages import (
    AssignmentMessage,
    Message,
    ShareEvent,
    Submission,
    SubmissionReply,
    Work,
)
from tests.farmctl.rig_bench import until

FAMILIES = Path(__file__).parents[1] / "workloads" / "families"
WORK = Work(
    chain="test",
    seal_hash="ab" * 32,
    target="0" + "f" * 63,
    height=1,
    edge_bits=12,
    compression_rounds=4,
    finalisation_rounds=8,
)


class Rig:
    """A runner with what it reported."""

    def __init__(self, runner: Runner, lines: list[Line]) -> None:
        self._runner = runner
        self.lines = lines

    async def do(self, number: int, workload: Workload, **fields: object) -> State:
        """Give a command; the runner's answer to it."""
        assignment = {
            "device": "cpu:0",
            "workload": workload,
            "priority": Priority.MANUAL,
            "reason": "test",
            **fields,
        }
        wanted = AssignmentMessage.model_validate(assignment)
        self._runner.take(Assign(plan_number=number, assignment=wanted))
        await until(lambda: bool(self.states(number)))
        return self.states(number)[0]

    def states(self, number: int) -> list[State]:
        return [s for s in self.lines if isinstance(s, State) and s.plan_number == number]

    def shares(self) -> int:
        events = [line.body for line in self.lines if isinstance(line, Happened)]
        return sum(isinstance(body, ShareEvent) for body in events)


async def give(_: Message) -> Work:
    return WORK


async def accept(_: Submission) -> SubmissionReply:
    return SubmissionReply(outcome="accepted")


@pytest.fixture
async def rig(
    config: Config,
    bus: MemoryBus,
    link: BusLink,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Rig]:
    lines: list[Line] = []
    monkeypatch.setattr(module, "_write", lines.append)
    await bus.serve("node.work", Message, give)
    await bus.serve("node.submit", Submission, accept)
    runner = Runner("rig-a", getattr(request, "param", "cpu:0"), config, link)
    running = asyncio.create_task(runner.run())
    yield Rig(runner, lines)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def workers() -> list[int]:
    children = psutil.Process().children()
    return [c.pid for c in children if "drivers.worker_process" in c.cmdline()]


async def test_a_pause_and_its_end_keep_the_worker(rig: Rig) -> None:
    await rig.do(1, Workload.MINE)
    await until(lambda: rig.shares() > 0)
    mining = workers()
    paused = await rig.do(2, Workload.IDLE, paused=True)
    assert (paused.state, paused.workload) == ("running", Workload.IDLE)
    rested = rig.shares()
    await rig.do(3, Workload.IDLE, paused=True)
    assert rig.shares() == rested
    assert (await rig.do(4, Workload.MINE)).state == "running"
    await until(lambda: rig.shares() > rested)
    assert workers() == mining


async def test_a_pause_that_becomes_other_work_ends_the_worker(rig: Rig) -> None:
    await rig.do(1, Workload.MINE)
    await rig.do(2, Workload.IDLE, paused=True)
    assert len(workers()) == 1
    await rig.do(3, Workload.IDLE)
    assert not workers()


async def test_a_paused_rest_is_a_rest(rig: Rig) -> None:
    assert (await rig.do(1, Workload.IDLE, paused=True)).state == "running"
    await rig.do(2, Workload.MINE)
    await until(lambda: rig.shares() > 0)


async def test_a_worker_that_dies_while_paused_is_missed_on_resuming(rig: Rig) -> None:
    await rig.do(1, Workload.MINE)
    await rig.do(2, Workload.IDLE, paused=True)
    for pid in workers():
        psutil.Process(pid).kill()
    await rig.do(3, Workload.MINE)
    await until(lambda: any(s.state == "failed" for s in rig.states(3)))
    failed = next(s for s in rig.states(3) if s.state == "failed")
    assert (failed.cause, failed.code) == ("device", "device_lost")
    assert (await rig.do(4, Workload.MINE)).state == "running"
    await until(lambda: rig.shares() > 0)


async def test_a_failure_is_told_in_the_name_of_the_newest_plan(rig: Rig) -> None:
    """Which may have changed nothing for this device."""
    await rig.do(1, Workload.MINE)
    await until(lambda: rig.shares() > 0)
    await rig.do(2, Workload.MINE)
    for pid in workers():
        psutil.Process(pid).kill()
    await until(lambda: any(s.state == "failed" for s in rig.states(2)))


@pytest.mark.parametrize("rig", ["faulty:0"], indirect=True)
async def test_a_wrong_solution_is_a_fault_of_the_device(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARMCTL_DRIVERS", str(FAMILIES))
    monkeypatch.setenv("FAULTY_WAY", "wrong")
    await rig.do(1, Workload.MINE)
    await until(lambda: any(s.state == "failed" for s in rig.states(1)))
    failed = rig.states(1)[-1]
    assert (failed.cause, failed.code) == ("device", "wrong_answer")
