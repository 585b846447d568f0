"""A whole agent with the real CPU driver over a real bus: work, switches, kills."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import psutil
import pytest

from farmctl import nats_bus
from farmctl.config import Config
from farmctl.domain import JobState, Priority, Workload
from farmctl.messages import (
    AssignmentMessage,
    DeviceAck,
    FaultEvent,
    InventoryReport,
    JobProgress,
    Message,
    ReadingBatch,
    RigEvent,
    RigPlan,
    ShareEvent,
    Submission,
    SubmissionReply,
    Work,
)
from farmctl.training.protocol import JobSpec
from farmctl.training.trainers.digits_cnn import create
from node.spec.cuckoo import Verdict, graph_header, verify
from tests.farmctl.conftest import BusServer
from tests.farmctl.rig_bench import ArtifactShelf, until

EDGE_BITS = 12
EASY = "f" * 64


@dataclasses.dataclass
class Farm:
    """What a controller and a node would be: it gives plans and work, and keeps what comes."""

    bus: nats_bus.NatsBus
    events: list[RigEvent] = dataclasses.field(default_factory=list)
    inventory: list[InventoryReport] = dataclasses.field(default_factory=list)
    readings: list[ReadingBatch] = dataclasses.field(default_factory=list)
    submissions: list[Submission] = dataclasses.field(default_factory=list)
    accepted: list[tuple[int, ...]] = dataclasses.field(default_factory=list)
    height: int = 1

    async def serve(self) -> None:
        await self.bus.subscribe("inventory.*", InventoryReport, self._note_inventory)
        await self.bus.subscribe("reading.*", ReadingBatch, self._note_reading)
        await self.bus.consume("event.*", "test", RigEvent, self._note_event)
        await self.bus.serve("node.work", Message, self._give_work)
        await self.bus.serve("node.submit", Submission, self._judge)

    def work(self) -> Work:
        return Work(
            chain="test",
            seal_hash=hashlib.sha256(str(self.height).encode()).hexdigest(),
            target=EASY,
            height=self.height,
            edge_bits=EDGE_BITS,
            compression_rounds=4,
            finalisation_rounds=8,
        )

    async def plan(self, number: int, workload: Workload, **fields: object) -> None:
        one = AssignmentMessage.model_validate(
            {
                "device": "cpu:0",
                "workload": workload,
                "priority": Priority.MINING,
                "reason": "test",
                **fields,
            }
        )
        plan = RigPlan(rig="rig-a", number=number, created=time.time(), assignments=(one,))
        await self.bus.put("plans", "rig-a", plan)

    def acks(self, number: int) -> list[DeviceAck]:
        bodies = [e.body for e in self.events]
        return [b for b in bodies if isinstance(b, DeviceAck) and b.plan_number == number]

    def shares(self, outcome: str) -> list[ShareEvent]:
        bodies = [e.body for e in self.events]
        return [b for b in bodies if isinstance(b, ShareEvent) and b.outcome == outcome]

    def faults(self, code: str) -> list[FaultEvent]:
        bodies = [e.body for e in self.events]
        return [b for b in bodies if isinstance(b, FaultEvent) and b.code == code]

    def proved(self) -> set[str]:
        """What the device has proved, as last reported."""
        return {t.capability for t in self.inventory[-1].devices[0].self_tests if t.passed}

    def progress(self) -> list[JobProgress]:
        return [e.body for e in self.events if isinstance(e.body, JobProgress)]

    def job_steps(self) -> int:
        return max((p.steps_done for p in self.progress()), default=0)

    def job_is(self, state: JobState) -> bool:
        return any(p.state is state for p in self.progress())

    def job_results(self) -> dict[str, str]:
        return self.progress()[-1].results

    async def _note_inventory(self, _subject: str, report: InventoryReport) -> None:
        self.inventory.append(report)

    async def _note_reading(self, _subject: str, batch: ReadingBatch) -> None:
        self.readings.append(batch)

    async def _note_event(self, _: str, event: RigEvent) -> None:
        """Each once by its id, as the controller stores them: delivery is at least once."""
        if all(event.id != known.id for known in self.events):
            self.events.append(event)

    async def _give_work(self, _request: Message) -> Work:
        return self.work()

    async def _judge(self, submission: Submission) -> SubmissionReply:
        """As a node does: the cycle is verified before anything else, and a solution that comes
        again is known by its cycle."""
        header = graph_header(bytes.fromhex(submission.seal_hash), submission.nonce)
        verdict = verify(header, submission.edges, EDGE_BITS)
        self.submissions.append(submission)
        if verdict is not Verdict.OK:
            return SubmissionReply(outcome="rejected", detail=verdict.name)
        if submission.edges in self.accepted:
            return SubmissionReply(outcome="rejected", duplicate=True)
        if submission.seal_hash != self.work().seal_hash:
            return SubmissionReply(outcome="stale")
        self.accepted.append(submission.edges)
        self.height += 1
        await self.bus.publish("node.work.new", self.work())
        return SubmissionReply(outcome="accepted")


@pytest.fixture
async def server(config: Config) -> AsyncIterator[BusServer]:
    made = BusServer(config)
    made.start()
    yield made
    with contextlib.suppress(ProcessLookupError):
        made.stop()


@pytest.fixture
async def farm(config: Config, server: BusServer) -> AsyncIterator[Farm]:
    bus = await nats_bus.connect(config.bus_url, config.bus_seed, "test")
    made = Farm(bus)
    await made.serve()
    yield made
    await bus.close()


class AgentProcess:
    """``farmctl agent`` as a process of its own."""

    def __init__(
        self, config: Config, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FARMCTL_")},
            "FARMCTL_HOME": str(config.home),
            "FARMCTL_FARM_RIG": config.farm.rig,
            "FARMCTL_BUS_PORT": str(config.bus.port),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            **(environment or {}),
        }
        self._log = log
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program = "from farmctl.cli import main; main()"
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, "agent", env=self._environment, stderr=log
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def runner(self) -> psutil.Process | None:
        for child in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # A zombie, or gone just now.
                if "farmctl.agent.runner" in child.cmdline():
                    return child
        return None

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
            await asyncio.wait_for(self.process.wait(), 40)


@pytest.fixture
async def agent(config: Config, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    made = AgentProcess(config, tmp_path / "agent.log")
    await made.start()
    yield made
    await made.stop(signal.SIGKILL)


async def test_a_rig_mines_switches_and_refuses_older_plans(
    agent: AgentProcess, farm: Farm
) -> None:
    await farm.plan(5, Workload.MINE)
    await until(lambda: bool(farm.shares("accepted")), 60)
    (ack,) = farm.acks(5)
    assert (ack.state, ack.workload) == ("running", Workload.MINE)
    assert not farm.shares("rejected")
    await until(
        lambda: any("graphs_per_second" in r.values for b in farm.readings for r in b.readings)
    )
    await until(lambda: farm.inventory[-1].devices[0].workload is Workload.MINE)
    device = farm.inventory[-1].devices[0]
    assert device.id == "cpu:0"
    assert farm.proved() >= {"cuckoo", "infer"}
    assert farm.inventory[-1].plan_number == 5

    await farm.plan(4, Workload.INFER)
    await farm.plan(6, Workload.IDLE)
    await until(lambda: bool(farm.acks(6)))
    (ack,) = farm.acks(6)
    assert (ack.state, ack.workload) == ("running", Workload.IDLE)
    assert ack.seconds < 10
    assert not farm.acks(4)


async def test_a_device_out_of_quarantine_is_tested_before_it_works(
    agent: AgentProcess, farm: Farm, config: Config
) -> None:
    await farm.plan(5, Workload.IDLE, quarantined=True)
    await until(lambda: bool(farm.acks(5)), 60)
    proofs = config.home / "rig/proofs.json"
    before = proofs.stat().st_mtime_ns
    await farm.plan(6, Workload.MINE)
    await until(lambda: bool(farm.acks(6)), 60)
    assert farm.acks(6)[0].state == "running"
    assert proofs.stat().st_mtime_ns > before
    await until(lambda: {"cuckoo", "infer"} <= farm.proved())

    await farm.plan(7, Workload.EXTERNAL)
    await until(lambda: bool(farm.acks(7)))
    (ack,) = farm.acks(7)
    assert ack.state == "failed"
    assert "external" in ack.detail


async def test_killed_processes_come_back(
    agent: AgentProcess, farm: Farm, server: BusServer, config: Config
) -> None:
    await farm.plan(1, Workload.MINE)
    await until(lambda: bool(farm.shares("accepted")), 60)

    await kill_runner(agent, farm)
    await mines_again(farm)
    assert farm.faults("runner_died")

    kill_worker(agent)
    await mines_again(farm)
    (fault,) = farm.faults("device_lost")
    assert fault.step == "restart_session"

    old_runner = agent.runner()
    await agent.stop(signal.SIGKILL)
    assert old_runner is not None
    await until(lambda: not old_runner.is_running())
    await agent.start()
    await mines_again(farm)

    server.stop(signal.SIGKILL)
    server.start()
    await mines_again(farm)
    await farm.plan(2, Workload.IDLE)
    await until(lambda: bool(farm.acks(2)), 60)
    # Every share told was accepted once. Missing is only what was on its way from the runner to
    # the agent's disk when one of the two was killed: the share in the pipe and the one at the
    # node, each time.
    heights = [share.height for share in farm.shares("accepted")]
    assert len(set(heights)) == len(heights)
    assert farm.height - 1 - len(heights) <= 4


async def test_a_rig_starts_from_its_disk_without_the_bus(
    config: Config, server: BusServer, farm: Farm, tmp_path: Path
) -> None:
    agent = AgentProcess(config, tmp_path / "agent.log")
    await agent.start()
    await farm.plan(1, Workload.MINE)
    await until(lambda: bool(farm.acks(1)), 60)
    await agent.stop()
    server.stop()
    await agent.start()
    await until(lambda: (runner := agent.runner()) is not None and has_worker(runner), 60)
    server.start()
    await mines_again(farm)
    await agent.stop()
    assert agent.process is not None
    assert agent.process.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_step_of_a_job_is_lost_or_doubled_by_kills(
    agent: AgentProcess, farm: Farm, shelf: ArtifactShelf
) -> None:
    """The runner, the agent and the job itself are killed at random moments."""
    await shelf.serve(farm.bus)
    steps = 3000
    job = {"kind": "digits-cnn", "total_steps": str(steps), "checkpoint_steps": "50"}
    await farm.plan(1, Workload.TRAIN, job_id="job-1", generation=1, parameters=job)
    chance = random.Random(7)
    for number in range(12):
        before = farm.job_steps()
        await until(lambda: farm.job_steps() > before or farm.job_is(JobState.DONE), 120)  # noqa: B023
        await asyncio.sleep(chance.uniform(0, 0.5))
        await kill_at_random(agent, number)
    await until(lambda: farm.job_is(JobState.DONE), 240)
    results = farm.job_results()
    curve = shelf.files[results["losses.txt"]].decode().splitlines()
    trainer = create(JobSpec(kind="digits-cnn", total_steps=steps))
    assert curve == [repr(trainer.step(index)) for index in range(steps)]


async def kill_at_random(agent: AgentProcess, number: int) -> None:
    """In turn the runner, the agent, and the process in the sandbox."""
    runner = agent.runner()
    if number % 3 == 0 and runner is not None:
        runner.kill()
    elif number % 3 == 1:
        await agent.stop(signal.SIGKILL)
        await agent.start()
    elif runner is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in runner.children(recursive=True):
                if "farmctl.training.run" in child.cmdline():
                    child.kill()


async def kill_runner(agent: AgentProcess, farm: Farm) -> None:
    runner = agent.runner()
    assert runner is not None
    workers = runner.children()
    runner.kill()
    await until(lambda: all(not alive(worker) for worker in workers))


def kill_worker(agent: AgentProcess) -> None:
    """The session of the work; that of a reserve is not there."""
    runner = agent.runner()
    assert runner is not None
    (worker,) = [c for c in runner.children() if "drivers.worker_process" in c.cmdline()]
    worker.kill()


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def has_worker(runner: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return any("drivers.worker_process" in " ".join(c.cmdline()) for c in runner.children())
    return False


async def mines_again(farm: Farm) -> None:
    accepted = len(farm.shares("accepted"))
    await until(lambda: len(farm.shares("accepted")) > accepted + 1, 60)
