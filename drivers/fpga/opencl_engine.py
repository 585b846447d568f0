"""Layers on an FPGA through OpenCL: a binary made ahead of time from ``opencl/layer.cl``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DeviceLost, DriverError, NotSupported
from drivers.fpga.core_registers import Counters
from drivers.fpga.layers import Layer
from drivers.fpga.memory_layout import CHANNELS, tile_weights
from drivers.fpga.opencl_boards import Board, load_opencl, open_device
from drivers.fpga.passes import Buffers, Pass, Plan, plan_layer
from drivers.fpga.requantisation import Requantisation

KERNEL = "farmctl_layer"
#: Global memory bounds these; larger layers are cut all the same.
BUFFERS = Buffers(feature_bytes=1 << 26, steps=1 << 20)


class OpenClEngine:
    def __init__(self, board: Board, binary: Path) -> None:
        """Raises `NotSupported` for a binary that the board does not take or that lacks the
        kernel, `DriverMissing` and `DeviceLost`."""
        self.opencl = load_opencl()
        device = open_device(board)
        try:
            self.context = self.opencl.Context([device])
            self.queue = self.opencl.CommandQueue(self.context)
            program = self.opencl.Program(self.context, [device], [binary.read_bytes()]).build()
            self.kernel = self.opencl.Kernel(program, KERNEL)
        except OSError as error:
            raise NotSupported(f"{binary} cannot be read: {error.strerror}") from None
        except (self.opencl.Error, ValueError) as error:
            raise NotSupported(f"{binary.name} is no program for {board.name}: {error}") from None

    def load(self, layer: Layer) -> OpenClLayer | None:
        plan = plan_layer(layer, BUFFERS)
        return OpenClLayer(self, layer, plan) if plan else None

    def store(self, content: NDArray[Any]) -> Any:
        """A buffer of the board that the kernel reads."""
        flags = self.opencl.mem_flags
        return self._call(
            self.opencl.Buffer,
            self.context,
            flags.READ_ONLY | flags.COPY_HOST_PTR,
            hostbuf=np.ascontiguousarray(content),
        )

    def run(self, filters: int, positions: int, *arguments: Any) -> NDArray[np.int32]:
        """(filters, positions) of the kernel; its arguments but the output's."""
        answer = np.empty((filters, positions), np.int32)
        flags = self.opencl.mem_flags
        output = self._call(self.opencl.Buffer, self.context, flags.WRITE_ONLY, answer.nbytes)
        before, after = arguments[:4], arguments[4:]
        self._call(self.kernel, self.queue, (1,), (1,), *before, output, *after)
        self._call(self.opencl.enqueue_copy, self.queue, answer, output)
        output.release()
        return answer

    def close(self) -> None:
        """Buffers go with their layers; the context goes with this object."""

    def _call(self, function: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except self.opencl.MemoryError as error:
            raise DriverError(f"the board's memory is too small: {error}") from None
        except self.opencl.Error as error:
            raise DeviceLost(f"OpenCL failed: {error}") from None


class OpenClLayer:
    """An `drivers.fpga.engine.EngineLayer`."""

    def __init__(self, engine: OpenClEngine, layer: Layer, plan: Plan) -> None:
        self.layer, self._engine, self._plan = layer, engine, plan
        self.counters: Counters | None = None
        self._requantisation = Requantisation() if plan.is_split else layer.requantisation
        self._constants = [self._store(one) for one in plan.passes]

    def run(self, value: NDArray[np.int32]) -> NDArray[np.int32]:
        plan, g = self._plan, self._plan.geometry
        planes = self.layer.to_planes(value).astype(np.int8)
        output = np.zeros((g.images, g.filters, g.output.rows, g.output.columns), np.int32)
        for one, constants in zip(plan.passes, self._constants, strict=True):
            plan.place(output, self._run_pass(planes, one, constants), one)
        if plan.is_split:
            output = self.layer.requantisation.apply(output)
        return self.layer.from_planes(output)

    def free(self) -> None:
        for buffers in self._constants:
            for buffer in buffers:
                buffer.release()

    def _run_pass(
        self, planes: NDArray[np.int8], one: Pass, constants: tuple[Any, ...]
    ) -> NDArray[np.int32]:
        plan, kept = self._plan, self._requantisation
        positions = plan.positions(one.rows)
        tiles = -(-len(plan.blocks[one.block].weights) // CHANNELS)
        features = self._engine.store(plan.features(planes, one))
        counts = (plan.steps(one), tiles, positions, kept.shift_bits)
        answer = self._engine.run(
            tiles * CHANNELS,
            positions,
            features,
            *constants,
            *map(np.uint32, counts),
            np.int32(kept.lowest),
            np.int32(kept.highest),
        )
        features.release()
        return answer

    def _store(self, one: Pass) -> tuple[Any, ...]:
        weights, bias = self._plan.weights(one), self._plan.bias(one, self.layer.bias)
        tiles, biases = tile_weights(weights, bias)
        content = (self._plan.offsets(one), tiles, biases)
        return tuple(self._engine.store(each) for each in content)
