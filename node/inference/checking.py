"""No device is believed: samples are computed again, by the reference or by another class of
device, and the reference decides where two differ."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from node.errors import EngineUnavailable, ModelFault, TooLarge
from node.inference.engine import Answer, Classes, InferEngine, count_slots

#: Devices of which figures are kept.
DEVICES = 1024


@dataclass(frozen=True)
class CheckCounts:
    """Of one device, since the node's start."""

    by_reference: int = 0
    by_class: int = 0
    """Compared with a device of another class."""
    mismatches: int = 0


class CrossCheckedEngine:
    """An engine of which a sample, and every claim of a fault, is computed again.

    A difference is never passed on: the wrong device is reported (model, device, what was wrong),
    and the reference's result is the answer. So it is for what is too large for the engine.
    """

    def __init__(
        self,
        primary: InferEngine,
        reference: InferEngine,
        ratio: float,
        report: Callable[[str, str, str], None],
        classes: Classes | None = None,
        class_ratio: float = 0.0,
    ) -> None:
        self._primary = primary
        self._reference = reference
        self._ratio = ratio
        self._report = report
        self._classes = classes
        self._class_ratio = class_ratio
        self._counts: OrderedDict[str, CheckCounts] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, model: str, data: bytes) -> Answer:
        try:
            answer = self._primary.run(model, data)
        except ModelFault as fault:
            # A fault is judged by the reference alone: an outage must not pass for one.
            return self._judge(model, data, {fault.device: fault})
        except TooLarge:
            return replace(self._reference.run(model, data), checked=True)
        if random.random() < self._ratio:
            self._count(answer.device, by_reference=1)
            return self._judge(model, data, {answer.device: answer})
        if self._classes is not None and random.random() < self._class_ratio:
            return self._compare(model, data, answer, self._classes)
        return answer

    def slots(self) -> int:
        return count_slots(self._primary)

    def counts(self) -> dict[str, CheckCounts]:
        """By device."""
        with self._lock:
            return dict(self._counts)

    def _compare(self, model: str, data: bytes, answer: Answer, classes: Classes) -> Answer:
        other: Answer | ModelFault
        try:
            other = classes.run_apart(model, data, answer.device)
        except EngineUnavailable:
            return answer  # no other class can say now
        except ModelFault as fault:
            other = fault
        self._count(answer.device, by_class=1)
        self._count(other.device, by_class=1)
        if isinstance(other, Answer) and other.output == answer.output:
            return answer
        return self._judge(model, data, {answer.device: answer, other.device: other})

    def _judge(self, model: str, data: bytes, said: dict[str, Answer | ModelFault]) -> Answer:
        """The reference's word; whoever said otherwise is reported."""
        try:
            expected = self._reference.run(model, data)
        except ModelFault:
            self._blame(model, said, None)
            raise
        wrong = self._blame(model, said, expected.output)
        right = [each for device, each in said.items() if device not in wrong]
        known = right[0] if right and isinstance(right[0], Answer) else expected
        return replace(known, checked=True)

    def _blame(
        self, model: str, said: dict[str, Answer | ModelFault], expected: bytes | None
    ) -> set[str]:
        """Devices that said what is not ``expected`` (None: a fault)."""
        wrong: set[str] = set()
        for device, each in said.items():
            if isinstance(each, Answer) and each.output != expected:
                what = "gave a wrong result"
            elif isinstance(each, ModelFault) and expected is not None:
                what = f"claimed a fault where there is none: {each}"
            else:
                continue
            wrong.add(device)
            self._count(device, mismatches=1)
            self._report(model, device, what)
        return wrong

    def _count(self, device: str, **more: int) -> None:
        with self._lock:
            known = self._counts.get(device, CheckCounts())
            added = {name: getattr(known, name) + count for name, count in more.items()}
            self._counts[device] = replace(known, **added)
            self._counts.move_to_end(device)
            if len(self._counts) > DEVICES:
                self._counts.popitem(last=False)
