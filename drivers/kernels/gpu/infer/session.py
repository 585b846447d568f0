"""The INFER capability of a GPU: models resident within a budget, several requests at a time."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from drivers.errors import BadArgument, DriverError, OutOfMemory
from drivers.kernels.gpu.infer.queue import Queue
from drivers.kernels.gpu.infer.resident import Lane
from drivers.kernels.gpu.infer.schedule import Schedule
from drivers.kernels.gpu.infer.scheduler import schedule
from drivers.kernels.gpu.infer.target import InferGpu
from drivers.kernels.infer.fusion import fuse
from drivers.kernels.infer.layers import Plan
from drivers.program import Program

MOST_LANES = 16
LANES = 2


@dataclass
class Model:
    """``schedule`` stays on the host, so that a model that made room comes back quickly."""

    plan: Plan
    schedule: Schedule
    constants: int | None = None
    """Address, while the model is resident."""
    lanes: list[Lane] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    """Numbers of the lanes that have no request."""

    @property
    def is_idle(self) -> bool:
        return len(self.free) == len(self.lanes)

    @property
    def resident_bytes(self) -> int:
        if self.constants is None:
            return 0
        return self.schedule.constants.nbytes + len(self.lanes) * self.schedule.arena_bytes


class GpuInfer:
    """A `drivers.base.InferSession`. `run` may be called from several threads: each request at
    a time has a stream of its own, up to ``lanes``."""

    def __init__(self, open_queue: Callable[[], Queue], gpu: InferGpu, lanes: int = LANES) -> None:
        """Raises `BadArgument` for a number of lanes beyond `MOST_LANES`."""
        if not 1 <= lanes <= MOST_LANES:
            raise BadArgument(f"there are 1 to {MOST_LANES} lanes, not {lanes}")
        self.gpu = gpu
        self._queues = [open_queue() for _ in range(lanes)]
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._changed = threading.Condition()

    @property
    def resident_bytes(self) -> int:
        return sum(model.resident_bytes for model in self._models.values())

    def load(self, model_id: str, program: Program) -> None:
        """Raises `NotSupported` for a model that cannot be proved, and `OutOfMemory`."""
        with self._changed:
            if model_id in self._models:
                return
        self.load_plan(model_id, fuse(program))

    def load_plan(self, model_id: str, plan: Plan) -> None:
        """See `load`."""
        model = Model(plan, schedule(plan, self.gpu))
        with self._changed:
            self._models.setdefault(model_id, model)
            try:
                self._admit(self._models[model_id])
            except DriverError:
                self._evict(self._models.pop(model_id))
                raise

    def unload(self, model_id: str) -> None:
        with self._changed:
            model = self._models.pop(model_id, None)
            if model is not None:
                self._changed.wait_for(lambda: model.is_idle)
                self._evict(model)

    def run(self, model_id: str, data: bytes) -> bytes:
        """Raises `BadArgument` for a model that is not loaded or a wrong input length."""
        return self.run_many(model_id, [data])[0]

    def run_many(self, model_id: str, inputs: Sequence[bytes]) -> list[bytes]:
        """Several requests, on as many lanes as are free. See `run`."""
        answers: list[bytes] = []
        with self._lanes(model_id, len(inputs)) as lanes:
            for number, data in enumerate(inputs):
                lane = lanes[number % len(lanes)]
                if number >= len(lanes):
                    answers.append(lane.finish())
                lane.start(data)
            left = range(len(answers), len(inputs))
            return answers + [lanes[number % len(lanes)].finish() for number in left]

    def close(self) -> None:
        """Safe to repeat, and after a failure."""
        self._models.clear()
        for queue in self._queues:
            queue.close()

    @contextlib.contextmanager
    def _lanes(self, model_id: str, wanted: int) -> Iterator[list[Lane]]:
        """At least one lane of a model, once there is one, and at most ``wanted``."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(model_id).free)
            model = self._find(model_id)
            while len(model.free) < wanted and self._add_lane(model):
                pass
            numbers, model.free = model.free[:wanted], model.free[wanted:]
        try:
            yield [model.lanes[number] for number in numbers]
        finally:
            with self._changed:
                model.free += numbers
                self._changed.notify_all()

    def _find(self, model_id: str) -> Model:
        """A model, made resident and the last to make room."""
        model = self._models.get(model_id)
        if model is None:
            raise BadArgument(f"model {model_id} is not loaded")
        self._models.move_to_end(model_id)
        self._admit(model)
        return model

    def _admit(self, model: Model) -> None:
        """Make a model resident with one lane. Raises `OutOfMemory`."""
        if model.constants is not None:
            return
        found, queue = model.schedule, self._queues[0]
        self._make_room(found.constants.nbytes + found.arena_bytes, model)
        model.constants = queue.allocate(found.constants.nbytes)
        queue.write(model.constants, found.constants)
        self._open_lane(model)

    def _add_lane(self, model: Model) -> bool:
        """One more, where there is room without another model's."""
        needed = self.resident_bytes + model.schedule.arena_bytes
        if len(model.lanes) == len(self._queues) or needed > self.gpu.memory_bytes:
            return False
        self._open_lane(model)
        return True

    def _open_lane(self, model: Model) -> None:
        assert model.constants is not None
        queue = self._queues[len(model.lanes)]
        model.lanes.append(Lane(queue, model.plan, model.schedule, model.constants))
        model.free.append(len(model.lanes) - 1)

    def _make_room(self, needed: int, newcomer: Model) -> None:
        """Those that were not asked for the longest go, while they are idle."""
        while self.resident_bytes + needed > self.gpu.memory_bytes:
            others = (model for model in self._models.values() if model is not newcomer)
            oldest = next((m for m in others if m.constants is not None and m.is_idle), None)
            if oldest is None:
                raise OutOfMemory(
                    f"the model needs {needed >> 20} MiB on the GPU beside those that are busy; "
                    f"{self.gpu.memory_bytes >> 20} MiB may be used"
                )
            self._evict(oldest)

    def _evict(self, model: Model) -> None:
        for lane in model.lanes:
            lane.close()
        if model.constants is not None:
            self._queues[0].free(model.constants)
        model.lanes, model.free, model.constants = [], [], None
