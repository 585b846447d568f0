"""INFER on an FPGA: layers on the board, all other steps on the host, nothing taken on trust."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BadArgument, DriverError, WrongAnswer
from drivers.fpga.core_registers import Counters
from drivers.fpga.engine import Engine, EngineLayer
from drivers.fpga.known_answer import prove_engine
from drivers.fpga.layers import Layer
from drivers.fpga.partition import (
    PACKED_BITS,
    WIDEST_BITS,
    host_program,
    live_inputs,
    live_outputs,
    partition,
)
from drivers.host_program import HostProgram
from drivers.program import Program, Step

#: Share of layers, chosen at random, that the host computes again; all of a model's first run.
CHECK_RATIO = 1 / 32
MEMORY_LIMIT_BYTES = 1 << 30
Values = dict[int, NDArray[np.int32]]


class HostSteps:
    """Some steps of a program on the host."""

    def __init__(
        self, program: Program, steps: Sequence[Step], wanted: Sequence[int], limit_bytes: int
    ) -> None:
        self._inputs = live_inputs(program, steps)
        self._wanted = [(number, program.shapes[number]) for number in wanted]
        self._program = HostProgram(host_program(program, steps, wanted), limit_bytes)

    def run(self, values: Values) -> None:
        """Add the wanted values to those that are there."""
        given = [values[number].astype("<i4").tobytes() for number in self._inputs]
        answer = np.frombuffer(self._program.run(b"".join(given) or bytes(4)), "<i4")
        start = 0
        for number, shape in self._wanted:
            size = int(np.prod(shape, dtype=np.int64))
            values[number] = answer[start : start + size].reshape(shape)
            start += size

    def close(self) -> None:
        self._program.close()


class CheckedLayer:
    """A layer on the board, with its equal on the host."""

    def __init__(self, program: Program, loaded: EngineLayer, limit: int) -> None:
        self.layer = loaded.layer
        self._loaded = loaded
        self._host = _host_layer(program, self.layer, limit)

    def run(self, values: Values, is_checked: bool) -> Counters | None:
        """What the board counted; None where an input is beyond what it takes, so that the host
        has computed it. Raises `WrongAnswer` where a check shows that the board's is not so."""
        x = values[self.layer.source]
        bits = PACKED_BITS if self.layer.packs_features else WIDEST_BITS
        if x.min() < -(1 << bits - 1) or x.max() >= 1 << bits - 1:
            self._host.run(values)
            return None
        answer = self._loaded.run(x)
        if is_checked:
            self._host.run(values)
            if not np.array_equal(values[self.layer.target], answer):
                raise WrongAnswer(f"the board computed {self.layer.step.op} wrong")
        values[self.layer.target] = answer
        return self._loaded.counters

    def close(self) -> None:
        self._loaded.free()
        self._host.close()


class Model:
    """A loaded model: its stages in order."""

    def __init__(self, engine: Engine, program: Program, limit: int) -> None:
        self._program = program
        self.input_shape = program.input_shape
        self._stages: list[HostSteps | CheckedLayer] = []
        self._was_checked = False
        self.layer_counters: list[tuple[Layer, Counters]] = []
        """Of the last run."""
        stages = partition(program)
        for index, stage in enumerate(stages):
            if isinstance(stage, Layer):
                self._stages.append(_load_layer(engine, program, stage, limit))
            elif wanted := live_outputs(program, stages, index):
                self._stages.append(HostSteps(program, stage, wanted, limit))

    def run(self, data: bytes, check_ratio: float) -> bytes:
        program = self._program
        values: Values = dict(program.parameters)
        values[0] = np.frombuffer(data, "<i4").reshape(program.input_shape)
        self.layer_counters = []
        for stage in self._stages:
            if isinstance(stage, HostSteps):
                stage.run(values)
                continue
            is_checked = not self._was_checked or random.random() < check_ratio
            if counters := stage.run(values, is_checked):
                self.layer_counters.append((stage.layer, counters))
        self._was_checked = True
        return b"".join(values[head].astype("<i4").tobytes() for head in program.heads)

    def close(self) -> None:
        for stage in self._stages:
            stage.close()


class FpgaRuns:
    """A `drivers.base.InferSession` over one board, which it closes at the end."""

    def __init__(
        self,
        engine: Engine,
        check_ratio: float = CHECK_RATIO,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Has the board prove itself; ``then`` is called once it is closed. Raises
        `SelfTestFailed` if it cannot, and `DeviceLost`."""
        self._check_ratio = check_ratio
        self._limit_bytes = memory_limit_bytes
        self._models: dict[str, Model] = {}
        self._engine = engine
        self._then = then
        try:
            prove_engine(engine)
        except DriverError:
            engine.close()
            raise

    def load(self, model_id: str, program: Program) -> None:
        if model_id not in self._models:
            # The host's own check of the whole program: what it refuses is not loaded.
            HostProgram(program, self._limit_bytes).close()
            self._models[model_id] = Model(self._engine, program, self._limit_bytes)

    def unload(self, model_id: str) -> None:
        if model := self._models.pop(model_id, None):
            model.close()

    def run(self, model_id: str, data: bytes) -> bytes:
        """Raises `BadArgument` for a model that is not loaded or a wrong input length, and
        `WrongAnswer` when a check fails; the session is over then."""
        model = self._model(model_id)
        size = 4 * int(np.prod(model.input_shape, dtype=np.int64))
        if len(data) != size:
            raise BadArgument(f"the input must be {size} bytes, not {len(data)}")
        try:
            return model.run(data, self._check_ratio)
        except WrongAnswer:
            self._engine.close()
            raise

    def layer_counters(self, model_id: str) -> list[tuple[Layer, Counters]]:
        """Of the model's last run, layer by layer."""
        return self._model(model_id).layer_counters

    def close(self) -> None:
        self._engine.close()
        self._models.clear()
        self._then()

    def _model(self, model_id: str) -> Model:
        if model_id not in self._models:
            raise BadArgument(f"model {model_id} is not loaded")
        return self._models[model_id]


def _load_layer(
    engine: Engine, program: Program, layer: Layer, limit: int
) -> HostSteps | CheckedLayer:
    """On the board if it fits there, else on the host."""
    loaded = engine.load(layer)
    if loaded is None:
        return _host_layer(program, layer, limit)
    return CheckedLayer(program, loaded, limit)


def _host_layer(program: Program, layer: Layer, limit: int) -> HostSteps:
    return HostSteps(program, (layer.step, *layer.fused), (layer.target,), limit)
