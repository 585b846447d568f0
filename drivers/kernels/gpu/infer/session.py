"""The INFER capability of a GPU: models resident within a budget, several requests at a time."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
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

    @property
    def resident_bytes(self) -> int:
        if self.constants is None:
            return 0
        return self.schedule.constants.nbytes + len(self.lanes) * self.schedule.arena_bytes


class GpuInfer:
    """A `drivers.base.InferSession`. `run_many` has up to ``lanes`` requests under way at a time,
    each on a stream of its own."""

    def __init__(self, open_queue: Callable[[], Queue], gpu: InferGpu, lanes: int = LANES) -> None:
        """Raises `BadArgument` for a number of lanes beyond `MOST_LANES`."""
        if not 1 <= lanes <= MOST_LANES:
            raise BadArgument(f"there are 1 to {MOST_LANES} lanes, not {lanes}")
        self.gpu = gpu
        self._queues = [open_queue() for _ in range(lanes)]
        self._models: OrderedDict[str, Model] = OrderedDict()
        """Those not asked for the longest first."""

    @property
    def resident_bytes(self) -> int:
        return sum(model.resident_bytes for model in self._models.values())

    def load(self, model_id: str, program: Program) -> None:
        """Raises `NotSupported` for a model that cannot be proved, and `OutOfMemory`."""
        if model_id not in self._models:
            self.load_plan(model_id, fuse(program))

    def load_plan(self, model_id: str, plan: Plan) -> None:
        """See `load`; of an id that is not loaded."""
        model = Model(plan, schedule(plan, self.gpu))
        self._admit(model)
        self._models[model_id] = model

    def unload(self, model_id: str) -> None:
        if model := self._models.pop(model_id, None):
            self._evict(model)

    def run(self, model_id: str, data: bytes) -> bytes:
        """Raises `BadArgument` for a model that is not loaded or a wrong input length, and
        `OutOfMemory` where a model that made room cannot come back."""
        return self.run_many(model_id, [data])[0]

    def run_many(self, model_id: str, inputs: Sequence[bytes]) -> list[bytes]:
        """Several requests, on as many lanes as there is room for. See `run`."""
        lanes = self._open_lanes(self._find(model_id), len(inputs))
        answers: list[bytes] = []
        for number, data in enumerate(inputs):
            lane = lanes[number % len(lanes)]
            if number >= len(lanes):
                answers.append(lane.finish())
            lane.start(data)
        left = range(len(answers), len(inputs))
        return answers + [lanes[number % len(lanes)].finish() for number in left]

    def close(self) -> None:
        """Safe to repeat, and after a failure."""
        for model in self._models.values():
            with contextlib.suppress(DriverError):  # A device that is lost holds nothing.
                self._evict(model)
        self._models.clear()
        for queue in self._queues:
            queue.close()

    def _find(self, model_id: str) -> Model:
        """A model, made resident and the last to make room."""
        model = self._models.get(model_id)
        if model is None:
            raise BadArgument(f"model {model_id} is not loaded")
        self._models.move_to_end(model_id)
        if model.constants is None:
            self._admit(model)
        return model

    def _admit(self, model: Model) -> None:
        """Make a model resident with one lane; those not asked for the longest make room. Raises
        `OutOfMemory`."""
        found, queue = model.schedule, self._queues[0]
        needed = found.constants.nbytes + found.arena_bytes
        for other in self._models.values():
            if self.resident_bytes + needed > self.gpu.memory_bytes:
                self._evict(other)
        model.constants = queue.allocate(found.constants.nbytes)
        try:
            queue.write(model.constants, found.constants)
            self._open_lanes(model, 1)
        except DriverError:
            self._evict(model)
            raise

    def _open_lanes(self, model: Model, wanted: int) -> list[Lane]:
        """So many and no more, the first in any case, others where they fit beside all models and
        whatever else has the GPU's memory."""
        assert model.constants is not None
        each = model.schedule.arena_bytes
        for queue in self._queues[len(model.lanes) : wanted]:
            if model.lanes and self.resident_bytes + each > self.gpu.memory_bytes:
                break
            try:
                model.lanes.append(Lane(queue, model.plan, model.schedule, model.constants))
            except OutOfMemory:
                if not model.lanes:
                    raise
                break
        return model.lanes[:wanted]

    def _evict(self, model: Model) -> None:
        for lane in model.lanes:
            lane.close()
        if model.constants is not None:
            self._queues[0].free(model.constants)
        model.lanes, model.constants = [], None
