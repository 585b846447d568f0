"""The farm's INFER workers as they tell of themselves, and which of them is asked next.

A request goes where it is expected to end soonest: where its model lies, unless so much waits
there that it pays to bring the model onto another device as well. What the loading costs is shared
out over the model's requests of the last seconds, so that models much asked for spread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from farmctl.domain import device_key
from farmctl.inference.messages import WorkerStatus
from farmctl.messages import InventoryReport
from farmctl.smoothing import smooth

#: A worker that says nothing for so long is not asked,
SILENT_SECONDS = 4.0
#: nor, for a while that doubles, one that did not answer.
RESTED_SECONDS, RESTED_SECONDS_LIMIT = 5.0, 60.0
#: A barred device is asked again once it was away for so long: its farm has had it prove itself.
AWAY_SECONDS = 8.0
#: Popularity of a model halves in this time.
HALF_LIFE_SECONDS = 5.0
#: Before the first answer an inference is taken to last
GUESS_SECONDS = 0.05
WORKERS_LIMIT, MODELS_LIMIT = 1024, 1024


@dataclass(eq=False)
class _Worker:
    status: WorkerStatus
    heard: float
    asked: Counter[str] = field(default_factory=Counter)
    """Requests of ours that it has not answered, by model."""
    seconds: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """That an inference of a model takes of the device."""
    speed: float = GUESS_SECONDS
    """Of any model."""
    of_others: int = 0
    """Requests of others that it had when it was last heard of."""
    silences: int = 0
    """Requests in a row that it did not answer."""
    resting_until: float = 0.0

    @property
    def load(self) -> int:
        return self.of_others + self.asked.total()

    def hear(self, status: WorkerStatus, now: float) -> None:
        self.status, self.heard = status, now
        self.of_others = max(0, status.waiting - self.asked.total())

    def holds(self, model: str) -> bool:
        return model in self.status.models or self.asked[model] > 0

    def expect(self, model: str) -> float:
        """Seconds until a request that comes now is done, its model being there."""
        return (self.load + 1) * self.seconds.get(model, self.speed)

    def learn(self, model: str, seconds: float) -> None:
        self.seconds[model] = smooth(self.seconds.pop(model, None), seconds)
        self.speed = smooth(self.speed, seconds)
        if len(self.seconds) > MODELS_LIMIT:
            self.seconds.popitem(last=False)


class WorkerBoard:
    """Safe for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers: OrderedDict[str, _Worker] = OrderedDict()
        self._makes: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """Family and product by device."""
        self._barred: dict[str, float] = {}
        """When a barred device was last heard of."""
        self._asked: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """How much each model was asked for lately, and when it was so."""
        self._lock = threading.Lock()

    def hear(self, status: WorkerStatus) -> None:
        now, device = self._clock(), status.device
        with self._lock:
            self._hear_barred(device, now)
            if status.is_leaving:
                self._workers.pop(device, None)
                return
            known = self._workers.get(device)
            if known is not None:
                known.hear(status, now)
            elif len(self._workers) < WORKERS_LIMIT:
                self._workers[device] = _Worker(status, now, of_others=status.waiting)

    def hear_inventory(self, report: InventoryReport) -> None:
        with self._lock:
            for one in report.devices:
                self._makes[device_key(report.rig, one.id)] = (one.family, one.model)
            while len(self._makes) > WORKERS_LIMIT:
                self._makes.popitem(last=False)

    def statuses(self) -> list[WorkerStatus]:
        """Of the workers that are there."""
        with self._lock:
            return [each.status for each in self._present()]

    def slots(self) -> int:
        with self._lock:
            return sum(each.status.slots for each in self._present())

    def choose(self, model: str, avoided: Collection[str] = (), apart: str = "") -> str | None:
        """The device to ask, which is to be told of by `begin`; not one of the ``avoided``, and
        not of the class of ``apart``. None where no worker is known or all are full."""
        with self._lock:
            fit = [
                each
                for each in self._present()
                if each.status.device not in avoided
                and each.load < each.status.limit
                and (not apart or self._make(each.status.device) != self._make(apart))
            ]
            if not fit:
                return None
            popularity = self._popularity(model)
            return min(fit, key=lambda each: self._cost(each, model, popularity)).status.device

    def begin(self, device: str, model: str) -> None:
        """A request goes to this device."""
        now = self._clock()
        with self._lock:
            self._asked[model] = (self._popularity(model) + 1, now)
            self._asked.move_to_end(model)
            if len(self._asked) > MODELS_LIMIT:
                self._asked.popitem(last=False)
            if device in self._workers:
                self._workers[device].asked[model] += 1

    def end(self, device: str, model: str, seconds: float | None) -> None:
        """It is answered, with a result that took so long of the device."""
        with self._lock:
            worker = self._workers.get(device)
            if worker is None:
                return
            worker.asked[model] -= 1
            if worker.asked[model] <= 0:
                del worker.asked[model]
            if seconds is not None:
                worker.silences = 0
                worker.learn(model, seconds)

    def rest(self, device: str) -> None:
        """It did not answer: leave it alone for a while."""
        with self._lock:
            worker = self._workers.get(device)
            if worker is not None:
                rest = min(RESTED_SECONDS * 2**worker.silences, RESTED_SECONDS_LIMIT)
                worker.resting_until = self._clock() + rest
                worker.silences += 1

    def bar(self, device: str) -> None:
        """It was wrong: do not ask it, and believe nothing it says, until it was away."""
        with self._lock:
            if len(self._barred) < WORKERS_LIMIT or device in self._workers:
                self._barred[device] = self._clock()

    def is_barred(self, device: str) -> bool:
        with self._lock:
            return device in self._barred

    # With the lock held

    def _present(self) -> list[_Worker]:
        now = self._clock()
        silent = [d for d, each in self._workers.items() if each.heard < now - SILENT_SECONDS]
        for device in silent:
            del self._workers[device]
        return [
            each
            for device, each in self._workers.items()
            if device not in self._barred and each.resting_until <= now
        ]

    def _hear_barred(self, device: str, now: float) -> None:
        last = self._barred.get(device)
        if last is not None and now - last > AWAY_SECONDS:
            del self._barred[device]
        elif last is not None:
            self._barred[device] = now

    def _make(self, device: str) -> tuple[str, str]:
        family = device.partition("/")[2].partition(":")[0]
        return self._makes.get(device, (family, ""))

    def _popularity(self, model: str) -> float:
        count, at = self._asked.get(model, (0.0, 0.0))
        return float(count * 0.5 ** ((self._clock() - at) / HALF_LIFE_SECONDS))

    def _cost(self, worker: _Worker, model: str, popularity: float) -> tuple[float, int]:
        seconds = worker.expect(model)
        if not worker.holds(model):
            seconds += worker.status.load_seconds / max(1.0, popularity)
        return seconds, worker.load
