"""Mining in a real worker: switches, pauses, work that cannot be, devices that fail."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from drivers import registry
from drivers.errors import DeadlineExceeded, DeviceLost, DriverError, WrongAnswer
from farmctl.domain import Priority, Workload
from farmctl.memory_bus import MemoryBus
from farmctl.messages import (
    AssignmentMessage,
    FaultEvent,
    Message,
    ShareEvent,
    Submission,
    SubmissionReply,
    Work,
)
from farmctl.mining.task import make_work
from farmctl.tuning.records import Tuned, TuningFile
from farmctl.workloads import mine
from farmctl.workloads.base import Pausable, Place
from farmctl.workloads.mine import Mine, create
from node.chains.grin import GRIN
from node.spec.coin import Coin
from node.spec.cuckoo import Cycle, Verdict, graph_header, verify
from tests.farmctl.rig_bench import Told, until

EDGE_BITS = 12
#: One cycle in 16 meets it.
EASY = "0" + "f" * 63
FAMILIES = Path(__file__).with_name("families")


class Node:
    """Gives work and judges what comes for it, as a node does."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.work = work_of(1)
        self.taken: list[Submission] = []
        self.reply = SubmissionReply(outcome="accepted")
        self.coin: Coin | None = None

    async def serve(self) -> None:
        await self._bus.serve("node.work", Message, self._give)
        await self._bus.serve("node.submit", Submission, self._judge)

    async def offer(self, work: Work) -> None:
        self.work = work
        await self._bus.publish("node.work.new", work)

    async def _give(self, _: Message) -> Work:
        return self.work

    async def _judge(self, submission: Submission) -> SubmissionReply:
        header = bytes.fromhex(submission.seal_hash)
        if self.coin is not None and submission.chain == self.coin.name:
            verdict = self.coin.pow.verify(header, submission.nonce, submission.edges)
        else:
            graph = graph_header(header, submission.nonce)
            verdict = verify(graph, submission.edges, EDGE_BITS)
        assert verdict is Verdict.OK
        self.taken.append(submission)
        return self.reply


def work_of(height: int, **changes: object) -> Work:
    work = Work(
        chain="test",
        seal_hash=f"{height:064x}",
        target=EASY,
        height=height,
        edge_bits=EDGE_BITS,
        compression_rounds=4,
        finalisation_rounds=8,
    )
    return work.model_copy(update=changes)


@pytest.fixture
async def node(bus: MemoryBus) -> Node:
    made = Node(bus)
    await made.serve()
    return made


def activity(place: Place) -> Mine:
    """With as much of the processors as the test itself has."""
    return Mine(place, {"threads": 1} if place.family == "cpu" else {})


def test_mining_on_the_processors_lets_others_go_first(place: Place) -> None:
    wanted = AssignmentMessage(
        device="cpu:0",
        workload=Workload.MINE,
        priority=Priority.MINING,
        reason="test",
        parameters={"threads": "3", "colour": "red"},
    )
    assert create(place, wanted)._options == {"threads": 3, "niceness": mine.NICENESS}
    other = create(dataclasses.replace(place, device_id="cuda:0"), wanted)
    assert other._options == {"threads": 3}


@pytest.fixture
async def mining(place: Place, node: Node) -> AsyncIterator[Mine]:
    made = activity(place)
    await made.start()
    running = asyncio.create_task(made.run())
    yield made
    await made.stop()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def shares(told: Told, outcome: str) -> list[ShareEvent]:
    return [e for e in told if isinstance(e, ShareEvent) and e.outcome == outcome]


def faults(told: Told) -> list[FaultEvent]:
    return [e for e in told if isinstance(e, FaultEvent)]


def workers() -> list[int]:
    children = psutil.Process().children()
    return [c.pid for c in children if "drivers.worker_process" in c.cmdline()]


async def test_shares_are_sent_and_told(mining: Mine, node: Node, told: Told) -> None:
    await until(lambda: len(shares(told, "accepted")) >= 3)
    assert len({s.nonce for s in node.taken}) == len(node.taken)
    assert mining.rates()["graphs_per_second"] > 0
    node.reply = SubmissionReply(outcome="rejected", detail="no")
    await until(lambda: bool(shares(told, "rejected")))


@pytest.mark.parametrize("cycle", list(Cycle))
async def test_another_coin_is_mined_as_soon_as_its_work_comes(
    mining: Mine, node: Node, told: Told, cycle: Cycle
) -> None:
    """Graphs, nonces and hashes of Grin's kind, on the same device and session."""
    await until(lambda: len(shares(told, "accepted")) >= 1)
    pow = dataclasses.replace(GRIN.pow, edge_bits=EDGE_BITS, cycle=cycle)
    header = bytes(range(256))
    node.coin = dataclasses.replace(GRIN, name="small", pow=pow)
    target = node.coin.target(GRIN.weight(2), 2)
    await node.offer(make_work("small", pow, header, target, 2))
    await until(lambda: any(s.chain == "small" for s in node.taken))
    assert any(e.chain == "small" for e in shares(told, "accepted"))


async def test_new_work_is_taken_up_in_the_middle_of_a_graph(
    mining: Mine, node: Node, told: Told
) -> None:
    (pid,) = workers()
    worker = psutil.Process(pid)
    await node.offer(work_of(2, edge_bits=26))  # Seconds a graph.
    before = worker.cpu_times().user
    await until(lambda: worker.cpu_times().user > before + 0.2)
    assert mining._searching.locked()
    began = worker.cpu_times().user
    await node.offer(work_of(3))
    await until(lambda: any(int(s.seal_hash, 16) == 3 for s in node.taken))
    assert worker.cpu_times().user - began < 1
    assert not shares(told, "invalid") and not faults(told)


async def test_a_pause_keeps_the_worker_and_frees_its_memory(mining: Mine, node: Node) -> None:
    assert isinstance(mining, Pausable)
    (pid,) = workers()
    worker = psutil.Process(pid)
    small = worker.memory_info().rss
    await node.offer(work_of(2, edge_bits=23))
    await until(lambda: worker.memory_info().rss > small + (40 << 20))
    await mining.pause()
    assert worker.memory_info().rss < small + (20 << 20)
    before = worker.cpu_times().user
    await asyncio.sleep(0.3)
    assert worker.cpu_times().user - before < 0.1
    await node.offer(work_of(3))
    sent = len(node.taken)
    await mining.resume()
    await until(lambda: len(node.taken) > sent)
    assert workers() == [pid]
    assert {int(s.seal_hash, 16) for s in node.taken[sent:]} == {3}


UNFIT = {
    "edge bits beyond the family": ({"edge_bits": 50}, "bad_argument"),
    "edge bits of none": ({"edge_bits": 0}, "bad_argument"),
    "an odd cycle": ({"proof_size": 41}, "bad_argument"),
    "no rounds": ({"compression_rounds": 0}, "bad_argument"),
    "a short header": ({"seal_hash": "ab" * 31}, "bad_work"),
    "a header that is no hash": ({"seal_hash": "no"}, "bad_work"),
    "a target of zero": ({"target": "0" * 64}, "bad_work"),
    "a target above 2^256": ({"target": "1" + "0" * 64}, "bad_work"),
    "a target that is none": ({"target": ""}, "bad_work"),
}


async def test_work_that_cannot_be_is_refused_once(mining: Mine, node: Node, told: Told) -> None:
    """Each is said once, waited out without spinning, and followed by work that can be."""
    for number, (what, (changes, code)) in enumerate(UNFIT.items()):
        height, known = 10 * number, len(faults(told))
        await node.offer(work_of(height + 1, **changes))
        await until(lambda: len(faults(told)) > known)  # noqa: B023 - awaited at once
        await node.offer(work_of(height + 2, **changes))
        await asyncio.sleep(0.05)
        await until(lambda: not mining._searching.locked())
        await asyncio.sleep(0.05)
        assert not mining._searching.locked()
        assert [fault.code for fault in faults(told)[known:]] == [code], what
        sent = len(node.taken)
        await node.offer(work_of(height + 3))
        await until(lambda: len(node.taken) > sent)  # noqa: B023 - awaited at once


async def test_graphs_beyond_the_memory_are_refused_once(
    place: Place, node: Node, told: Told
) -> None:
    node.work = work_of(1, edge_bits=24)
    made = Mine(place, {"threads": 1, "memory_limit_bytes": 1 << 20})
    await made.start()
    running = asyncio.create_task(made.run())
    await until(lambda: bool(faults(told)))
    assert [fault.code for fault in faults(told)] == ["out_of_memory"]
    await node.offer(work_of(2, edge_bits=10))
    await until(lambda: made.rates()["graphs_per_second"] > 0)
    await made.stop()
    await running


async def test_garbage_instead_of_work_changes_nothing(
    mining: Mine, node: Node, bus: MemoryBus
) -> None:
    class Garbage(Message):
        seal_hash: int = 7
        colour: str = "red"

    await until(lambda: bool(node.taken))
    await bus.publish("node.work.new", Garbage())
    await until(lambda: bus.malformed == 1)
    sent = len(node.taken)
    await until(lambda: len(node.taken) > sent)


async def run_faulty(place: Place, way: str, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """What mining on a device that fails ends with."""
    monkeypatch.setenv("FARMCTL_DRIVERS", str(FAMILIES))
    monkeypatch.setenv("FAULTY_WAY", way)
    made = activity(dataclasses.replace(place, device_id="faulty:0"))
    await made.start()
    with pytest.raises(DriverError) as caught:
        await asyncio.wait_for(made.run(), 30)
    await made.stop()
    return caught.value


@pytest.mark.parametrize("way", ["wrong", "too big", "too short"])
async def test_a_wrong_solution_is_never_sent(
    place: Place, node: Node, told: Told, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = await run_faulty(place, way, monkeypatch)
    assert isinstance(error, WrongAnswer)
    assert not node.taken and told == shares(told, "invalid") != []


async def test_a_device_lost_in_a_graph_ends_the_activity(
    place: Place, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(await run_faulty(place, "lost", monkeypatch), DeviceLost)


async def test_a_solver_that_hangs_meets_its_deadline(
    place: Place, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mine, "DEADLINE_SECONDS", (0.2, 0.5))
    assert isinstance(await run_faulty(place, "hangs", monkeypatch), DeadlineExceeded)
    assert not workers()


async def test_a_killed_worker_is_a_lost_device(place: Place, node: Node) -> None:
    node.work = work_of(1, edge_bits=26)
    made = activity(place)
    await made.start()
    running = asyncio.create_task(made.run())
    await until(made._searching.locked)
    for pid in workers():
        psutil.Process(pid).kill()
    with pytest.raises(DeviceLost, match="status -9"):
        await asyncio.wait_for(running, 10)
    await made.stop()


async def test_leaving_sends_what_was_found(place: Place, node: Node, told: Told) -> None:
    made = activity(place)
    await made.start()
    running = asyncio.create_task(made.run())
    await until(lambda: bool(node.taken))
    await made.stop()
    assert made._found.empty() and len(shares(told, "accepted")) == len(node.taken)
    with contextlib.suppress(asyncio.CancelledError):
        running.cancel()
        await running
    assert not workers()


def keep_tuning(place: Place, options: dict[str, int | str | bool]) -> None:
    info = registry.find_device("cpu", "cpu:0").info
    TuningFile(place.folder).put(
        Tuned(
            hardware_id=info.hardware_id,
            driver_version=info.driver_version,
            algorithm="cuckaroo 4-8",
            edge_bits=EDGE_BITS,
            options=options,
            graphs_per_second=1.0,
            measured_at=0.0,
        )
    )


async def test_session_is_opened_as_the_tuner_found_best(place: Place, node: Node) -> None:
    keep_tuning(place, {"threads": 2})
    made = Mine(place, {})
    await made.start()
    running = asyncio.create_task(made.run())
    try:
        await until(lambda: bool(node.taken))
        assert made._tuned == {"threads": 2}
        await node.offer(work_of(2, edge_bits=EDGE_BITS + 1))
        await until(lambda: made._tuned == {})
    finally:
        await made.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_tuned_options_that_no_longer_work_are_left(place: Place, node: Node) -> None:
    keep_tuning(place, {"threads": 0, "colour": "red"})
    made = Mine(place, {})
    await made.start()
    running = asyncio.create_task(made.run())
    try:
        await until(lambda: bool(node.taken))
        assert made._tuned == {}
    finally:
        await made.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
