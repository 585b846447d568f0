"""Order, joining, bounds and deadlines of what is asked of an engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from node.errors import EngineUnavailable, ModelFault
from node.inference import Answer, Scheduler, Urgency

MODEL = "ab" * 20


class Gate:
    """An engine whose computations end when they are let through."""

    def __init__(self, slots: int = 2) -> None:
        self._slots = slots
        self.started: list[bytes] = []
        self.open = threading.Semaphore(0)
        self.failure: Exception | None = None
        self.began = threading.Semaphore(0)

    def slots(self) -> int:
        return self._slots

    def run(self, model: str, data: bytes) -> Answer:
        self.started.append(data)
        self.began.release()
        assert self.open.acquire(timeout=10)
        if self.failure is not None:
            raise self.failure
        return Answer(data[::-1], "rig/cpu:0")

    def let(self, count: int) -> None:
        self.open.release(count)

    def await_started(self, count: int) -> None:
        for _ in range(count):
            assert self.began.acquire(timeout=10)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def scheduler(gate: Gate) -> Iterator[Scheduler]:
    made = Scheduler(gate, waiting_limit=8)
    yield made
    gate.let(1000)
    made.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def fill(scheduler: Scheduler, gate: Gate) -> list[Future[Answer]]:
    """Take both slots."""
    taken = [scheduler.ask(MODEL, name, Urgency.BLOCK) for name in (b"first", b"second")]
    gate.await_started(2)
    return taken


def test_the_urgent_go_first(scheduler: Scheduler, gate: Gate) -> None:
    taken = fill(scheduler, gate)
    order = [Urgency.OTHER, Urgency.CALL, Urgency.PRERUN, Urgency.BUILD, Urgency.BLOCK]
    asked = [scheduler.ask(MODEL, each.name.encode(), each) for each in order]
    gate.let(20)
    wait([*taken, *asked], 10)
    # One slot may run ahead of the other, so neighbours can change places.
    found = [gate.started.index(each.name.encode()) for each in reversed(order)]
    assert all(found[i] < found[i + 2] for i in range(3))
    assert scheduler.counts().requests["prerun"] == 1


def test_equal_requests_are_computed_once(scheduler: Scheduler, gate: Gate) -> None:
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(scheduler.run, MODEL, b"same", Urgency.CALL) for _ in range(20)]
        until(lambda: scheduler.counts().joined == 19)
        gate.let(1)
        answers = {each.result(10) for each in asked}
    assert answers == {Answer(b"emas", "rig/cpu:0")} and gate.started == [b"same"]
    gate.let(1)
    scheduler.run(MODEL, b"same")  # it was over: this is another
    assert len(gate.started) == 2


def test_one_who_joins_lends_its_urgency(scheduler: Scheduler, gate: Gate) -> None:
    taken = fill(scheduler, gate)
    late = [scheduler.ask(MODEL, bytes([n]), Urgency.CALL) for n in range(4)]
    wanted = scheduler.ask(MODEL, b"\x03", Urgency.BLOCK)
    gate.let(20)
    wait([*taken, *late, wanted], 10)
    assert gate.started[2] == b"\x03" and gate.started.count(b"\x03") == 1


def test_the_rest_of_the_slots_is_kept_for_the_urgent() -> None:
    gate = Gate(slots=4)
    scheduler = Scheduler(gate)
    others = [scheduler.ask(MODEL, bytes([n])) for n in range(6)]
    gate.await_started(2)
    assert scheduler.counts().running == 2 and scheduler.counts().waiting == 4
    blocks = [scheduler.ask(MODEL, bytes([n]), Urgency.BLOCK) for n in (10, 11, 12)]
    gate.await_started(2)
    assert scheduler.counts().running == 4 and gate.started[2:] == [b"\n", b"\x0b"]
    gate.let(20)
    assert not wait([*others, *blocks], 10).not_done
    scheduler.close()


def test_a_full_queue_is_an_outage(scheduler: Scheduler, gate: Gate) -> None:
    taken = fill(scheduler, gate)
    asked = [scheduler.ask(MODEL, bytes([n]), Urgency.BLOCK) for n in range(8)]
    with pytest.raises(EngineUnavailable, match="8 inferences wait already"):
        scheduler.ask(MODEL, b"one more", Urgency.BLOCK)
    assert scheduler.counts().refused == 1
    assert scheduler.ask(MODEL, b"\x00") is not asked[0]  # to join takes no room
    gate.let(20)
    assert not wait([*taken, *asked], 10).not_done


def test_a_flood_leaves_room_for_the_more_urgent(scheduler: Scheduler, gate: Gate) -> None:
    taken = fill(scheduler, gate)
    asked = [scheduler.ask(MODEL, bytes([n])) for n in range(4)]
    with pytest.raises(EngineUnavailable, match="4 inferences wait already"):
        scheduler.ask(MODEL, b"one more")
    asked.append(scheduler.ask(MODEL, b"a block's", Urgency.BLOCK))
    gate.let(20)
    assert not wait([*taken, *asked], 10).not_done


def test_a_deadline_is_an_outage_and_what_nobody_wants_is_not_computed(
    scheduler: Scheduler, gate: Gate
) -> None:
    taken = fill(scheduler, gate)
    with pytest.raises(EngineUnavailable, match="no result of model"):
        scheduler.run(MODEL, b"late", Urgency.BLOCK, 0.01)
    gone = scheduler.ask(MODEL, b"gone", Urgency.PRERUN)
    assert gone.cancel()
    gate.let(20)
    wait(taken, 10)
    until(lambda: scheduler.counts().dropped == 2)
    assert gate.started == [b"first", b"second"] and scheduler.counts().waiting == 0


def test_failures_reach_everyone_and_are_not_kept(scheduler: Scheduler, gate: Gate) -> None:
    kinds: list[Exception] = [EngineUnavailable("no"), ModelFault("bad"), RuntimeError("a bug")]
    for failure in kinds:
        gate.failure = failure
        asked = [scheduler.ask(MODEL, b"x"), scheduler.ask(MODEL, b"x", Urgency.BLOCK)]
        gate.let(1)
        for each in asked:
            said = each.exception(10)
            assert said is failure or "RuntimeError" in str(said)
            assert isinstance(said, EngineUnavailable | ModelFault)
    gate.failure = None
    gate.let(1)
    assert scheduler.run(MODEL, b"x").output == b"x"
    counts = scheduler.counts()
    assert (counts.failed, counts.computed) == (2, 2)
    assert counts.p50_milliseconds is not None and counts.p99_milliseconds is not None


def test_who_waits_when_it_closes_is_told(gate: Gate) -> None:
    scheduler = Scheduler(gate)
    taken = fill(scheduler, gate)
    waiting = scheduler.ask(MODEL, b"waits")
    gate.let(2)
    scheduler.close()
    assert isinstance(waiting.exception(0) or EngineUnavailable(), EngineUnavailable)
    assert all(each.result(0).output for each in taken)
    with pytest.raises(EngineUnavailable, match="closing"):
        scheduler.ask(MODEL, b"after")


def test_many_threads_lose_nothing() -> None:
    class Echo:
        def slots(self) -> int:
            return 8

        def run(self, model: str, data: bytes) -> Answer:
            return Answer(data)

    scheduler = Scheduler(Echo(), waiting_limit=10_000)
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(scheduler.run, MODEL, bytes([n % 97]), Urgency(n % 5)) for n in range(2000)
        ]
        assert all(each.result(20).output == bytes([n % 97]) for n, each in enumerate(asked))
    counts = scheduler.counts()
    assert sum(counts.requests.values()) == 2000 == counts.joined + counts.computed
    scheduler.close()
