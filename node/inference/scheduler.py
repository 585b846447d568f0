"""Inferences in the order of their urgency: bounded, and each computed once however many ask.

Nothing that goes wrong here is a result: a full queue, a deadline and a failing engine are all
`EngineUnavailable`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import IntEnum

from node.errors import EngineUnavailable, ModelFault
from node.inference.engine import Answer, InferEngine, count_slots
from node.latencies import Latencies
from node.spec.crypto import keccak

#: Requests that wait for their turn; further ones are unavailable at once.
WAITING_LIMIT = 1024
WAITING_BYTES = 256 * 1024 * 1024
#: At once, at most.
SLOTS_LIMIT = 64
#: Nobody waits longer. A large model by the reference alone may take minutes.
SECONDS = 300.0

log = logging.getLogger(__name__)


class Urgency(IntEnum):
    """Who asks. A lower number goes first."""

    BLOCK = 0
    """A block cannot be taken in without it."""
    BUILD = 1
    """A block is being built."""
    PRERUN = 2
    """A transaction that waits may need it."""
    CALL = 3
    """A call of the JSON-RPC."""
    OTHER = 4


#: Of the slots, so many may be taken when one of that urgency begins, and of the room to wait when
#: it comes: the rest is kept free for what is more urgent.
SHARES = {
    Urgency.BLOCK: 1.0,
    Urgency.BUILD: 0.9,
    Urgency.PRERUN: 0.75,
    Urgency.CALL: 0.75,
    Urgency.OTHER: 0.5,
}


@dataclass(frozen=True)
class SchedulerCounts:
    """Since the start, but for ``waiting`` and ``running``, which are now."""

    requests: dict[str, int]
    """By urgency, those that joined others included."""
    joined: int
    """Requests for what was being computed already."""
    refused: int
    """The queue was full."""
    dropped: int
    """Nobody waited any more when their turn came."""
    failed: int
    """The engine was unavailable."""
    computed: int
    waiting: int
    running: int
    p50_milliseconds: float | None
    """From asking to the answer, of the last ones; None before the first."""
    p99_milliseconds: float | None


@dataclass(eq=False)
class _Flight:
    """One computation and all who wait for it."""

    key: tuple[str, bytes]
    data: bytes
    urgency: Urgency
    began: float
    waiters: list[Future[Answer]] = field(default_factory=list)
    is_running: bool = False

    def is_wanted(self) -> bool:
        return any(not each.cancelled() for each in self.waiters)


class Scheduler:
    """An `InferEngine` in front of another. Safe for several threads."""

    def __init__(
        self, engine: InferEngine, waiting_limit: int = WAITING_LIMIT, seconds: float = SECONDS
    ) -> None:
        self._engine = engine
        self._limit = waiting_limit
        self._seconds = seconds
        self._flights: dict[tuple[str, bytes], _Flight] = {}
        self._queue: list[tuple[Urgency, int, _Flight]] = []
        self._turns = itertools.count()
        self._running = 0
        self._waiting = 0
        self._waiting_bytes = 0
        self._is_closed = False
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(SLOTS_LIMIT, "engine")
        self._requests: Counter[Urgency] = Counter()
        self._events: Counter[str] = Counter()
        self._latencies = Latencies()

    def run(
        self,
        model: str,
        data: bytes,
        urgency: Urgency = Urgency.OTHER,
        seconds: float | None = None,
    ) -> Answer:
        """The answer, within so many seconds. Raises `EngineUnavailable` or `ModelFault`."""
        asked = self.ask(model, data, urgency)
        limit = self._seconds if seconds is None else seconds
        try:
            return asked.result(limit)
        except TimeoutError as error:
            asked.cancel()
            raise EngineUnavailable(f"no result of model {model} within {limit:g} s") from error

    def ask(self, model: str, data: bytes, urgency: Urgency = Urgency.OTHER) -> Future[Answer]:
        """The answer to come, or what `run` raises. Whoever does not want it any more cancels;
        what nobody wants is not computed. Raises `EngineUnavailable` where too many wait."""
        key = (model, keccak(data))
        with self._lock:
            self._requests[urgency] += 1
            flight = self._flights.get(key)
            if flight is None:
                flight = self._open(key, data, urgency)
            else:
                self._join(flight, urgency)
            asked: Future[Answer] = Future()
            flight.waiters.append(asked)
            self._dispatch()
        return asked

    def counts(self) -> SchedulerCounts:
        with self._lock:
            return SchedulerCounts(
                requests={each.name.lower(): self._requests[each] for each in Urgency},
                waiting=self._waiting,
                running=self._running,
                p50_milliseconds=self._latencies.milliseconds(0.5),
                p99_milliseconds=self._latencies.milliseconds(0.99),
                **{
                    name: self._events[name]
                    for name in ("joined", "refused", "dropped", "failed", "computed")
                },
            )

    def close(self) -> None:
        """Who waits is told that the engine is gone. Returns when what runs has ended."""
        with self._lock:
            self._is_closed = True
            left = [each for each in self._flights.values() if not each.is_running]
            self._queue.clear()
            self._waiting = self._waiting_bytes = 0
        for flight in left:
            self._settle(flight, EngineUnavailable("the node is closing"))
        self._threads.shutdown()

    # With the lock held

    def _open(self, key: tuple[str, bytes], data: bytes, urgency: Urgency) -> _Flight:
        if self._is_closed:
            raise EngineUnavailable("the node is closing")
        share = SHARES[urgency]
        full = self._waiting_bytes + len(data) > WAITING_BYTES * share and self._waiting
        if self._waiting >= max(1, int(self._limit * share)) or full:
            self._events["refused"] += 1
            raise EngineUnavailable(f"{self._waiting} inferences wait already; ask again later")
        flight = _Flight(key, data, urgency, time.monotonic())
        self._flights[key] = flight
        self._waiting += 1
        self._waiting_bytes += len(data)
        heapq.heappush(self._queue, (urgency, next(self._turns), flight))
        return flight

    def _join(self, flight: _Flight, urgency: Urgency) -> None:
        self._events["joined"] += 1
        if urgency < flight.urgency and not flight.is_running:
            flight.urgency = urgency  # its older place in the queue is passed over
            heapq.heappush(self._queue, (urgency, next(self._turns), flight))

    def _dispatch(self) -> None:
        slots = self._slots()
        while self._queue and not self._is_closed:
            urgency, _, flight = self._queue[0]
            if flight.is_running or urgency != flight.urgency:
                heapq.heappop(self._queue)
                continue
            if self._running >= max(1, int(slots * SHARES[urgency])):
                return
            heapq.heappop(self._queue)
            self._waiting -= 1
            self._waiting_bytes -= len(flight.data)
            flight.is_running = True
            if flight.is_wanted():
                self._running += 1
                self._threads.submit(self._compute, flight)
            else:
                self._events["dropped"] += 1
                del self._flights[flight.key]

    def _slots(self) -> int:
        return max(2, min(count_slots(self._engine), SLOTS_LIMIT))

    # In a thread of the engine's

    def _compute(self, flight: _Flight) -> None:
        found: Answer | EngineUnavailable | ModelFault
        began = time.monotonic()
        try:
            found = replace(self._engine.run(flight.key[0], flight.data), began=began)
        except (EngineUnavailable, ModelFault) as error:
            found = error
        except Exception as error:  # the top of the thread: who waits must be told
            log.exception("an engine failed", extra={"action": "engine_failed"})
            found = EngineUnavailable(f"internal: {type(error).__name__}")
        with self._lock:
            self._running -= 1
            failed = isinstance(found, EngineUnavailable)
            self._events["failed" if failed else "computed"] += 1
            if not failed:
                self._latencies.add(time.monotonic() - flight.began)
        self._settle(flight, found)
        with self._lock:
            self._dispatch()

    def _settle(self, flight: _Flight, found: Answer | Exception) -> None:
        with self._lock:
            self._flights.pop(flight.key, None)
        for asked in flight.waiters:
            if not asked.set_running_or_notify_cancel():
                continue
            if isinstance(found, Exception):
                asked.set_exception(found)
            else:
                asked.set_result(found)
