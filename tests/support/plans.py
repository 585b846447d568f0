"""Plans in tests: their general steps by the native operators, and random nets to fuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from drivers.cpu.loaded_program import LoadedProgram
from drivers.kernels.infer.fusion import fuse
from drivers.kernels.infer.layers import Plan
from drivers.kernels.infer.oracle import RunStep, run_plan
from drivers.program import Program, Step
from node.lowering import lower
from node.spec.cvm import Graph
from node.spec.cvm.execution import compute_heads, decode_input
from node.spec.cvm.writer import Entry, ModelWriter

MEMORY_BYTES = 1 << 28


def native_steps(plan: Plan) -> RunStep:
    """Runs a general step of the plan as a program of its own."""

    def run_step(step: Step, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        shapes = [plan.tensors[number].shape for number in (*step.inputs, *step.outputs)]
        outputs = tuple(range(len(inputs), len(shapes)))
        whole = Step(step.op, tuple(range(len(inputs))), outputs, step.attributes)
        program = Program(
            tuple(shapes), (32,) * len(shapes), dict(list(enumerate(inputs))[1:]), (whole,), outputs
        )
        loaded = LoadedProgram(program, MEMORY_BYTES)
        answer = np.frombuffer(loaded.run(inputs[0].astype("<i4").tobytes()), "<i4")
        loaded.close()
        sizes = np.cumsum([np.prod(shapes[number]) for number in outputs])[:-1]
        parts = np.split(answer, sizes)
        return [part.reshape(shapes[n]) for part, n in zip(parts, outputs, strict=True)]

    return run_step


def compare(graph: Graph, data: bytes) -> Plan:
    """Fuse a model and compute its plan; the heads must be the reference's. Returns the plan."""
    plan = fuse(lower(graph))
    values = decode_input(graph, data)
    found = run_plan(plan, values, native_steps(plan))
    for head, expected in zip(found, compute_heads(graph, values), strict=True):
        assert np.array_equal(head.reshape(expected.shape), expected)
    return plan


def random_net(generator: Generator) -> tuple[bytes, bytes]:
    """Symbol and parameters of a net as converters write them: convolutions brought to 8 bits
    by shifts or multipliers, residuals, concatenations, pools, a dense layer."""
    return _Net(generator).build()


class _Net:
    def __init__(self, generator: Generator) -> None:
        self.random = generator
        self.writer = ModelWriter()
        self.count = 0

    def build(self) -> tuple[bytes, bytes]:
        channels, rows, columns = (int(n) for n in self.random.integers(1, 9, 3))
        batch = int(self.random.integers(1, 3))
        data = self.writer.add_input((batch, channels, rows + 3, columns + 3), 8)
        values = [self.convolve(data)]
        for _ in range(int(self.random.integers(2, 7))):
            values.append(self._pick(self._layers())(values[-1]))
            if (joined := self.join(values)) is not None:
                values.append(joined)
        heads = [self.densify(values[-1])]
        if self.random.random() < 0.3:
            heads.append(values[int(self.random.integers(len(values)))])
        return self.writer.finish(heads)

    def _layers(self) -> list[Callable[[Entry], Entry]]:
        each: list[Callable[[Entry], Entry]] = [self.convolve, self.convolve, self.pool]
        return [*each, self.average, self.relu, self.adjust, self.branch]

    def _pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def _add(self, operator: str, inputs: list[Entry], **attributes: object) -> Entry:
        return self.writer.add(operator, self._name(), inputs, **attributes)

    def _constant(self, values: np.ndarray, precision: int) -> Entry:
        return self.writer.add_parameter(self._name(), values.astype(np.int32), precision)

    # --- layers: 8 bits in, 8 bits out

    def convolve(self, x: Entry) -> Entry:
        groups = x.shape[1] if self.random.random() < 0.25 else 1
        channels = groups * int(self.random.integers(1, 5))
        kernel = tuple(int(self.random.integers(1, min(4, n + 1))) for n in x.shape[2:])
        limit = int(self._pick((3, 127)))
        weight = self.random.integers(-limit, limit + 1, (channels, x.shape[1] // groups, *kernel))
        operands = [x, self._constant(weight, 8)]
        if has_bias := bool(self.random.random() < 0.7):
            bias = self.random.integers(-(2**12), 2**12, channels)
            operands.append(self._constant(bias, 14))
        sums = self._add(
            "conv2d", operands, channels=channels, kernel_size=kernel, groups=groups,
            padding=tuple(int(n) for n in self.random.integers(0, 2, 2)),
            strides=tuple(int(n) for n in self.random.integers(1, 3, 2)), use_bias=has_bias,
        )  # fmt: skip
        result = self.narrow(sums)
        return self.relu(result) if self.random.random() < 0.5 else result

    def narrow(self, sums: Entry) -> Entry:
        """By a shift, or by a multiplier for each channel."""
        if self.random.random() < 0.5:
            return self._shift(sums, int(self.random.integers(1, max(2, sums.precision - 6))))
        if sums.precision > 16:
            sums = self._shift(sums, sums.precision - 16, 16)
        size = (sums.shape[1], 1, 1) if self.random.random() < 0.7 else (1,)
        multiplier = self.random.integers(-(2**14) + 1, 2**14, size)
        product = self._add("broadcast_mul", [sums, self._constant(multiplier, 15)])
        return self._shift(product, int(self.random.integers(12, 24)))

    def _shift(self, x: Entry, bits: int, precision: int = 8) -> Entry:
        return self._add("cvm_right_shift", [x], precision=precision, shift_bit=bits)

    def relu(self, x: Entry) -> Entry:
        return self._add("relu", [x])

    def adjust(self, x: Entry) -> Entry:
        moved = self._add("broadcast_add", [x, self._constant(np.array([17]), 8)])
        return self._add("cvm_clip", [moved], precision=8)

    def pool(self, x: Entry) -> Entry:
        size = tuple(int(self.random.integers(1, min(n, 3) + 1)) for n in x.shape[2:])
        padding = tuple(int(self.random.integers(0, n)) for n in size)
        strides = tuple(int(n) for n in self.random.integers(1, 3, 2))
        return self._add("max_pool2d", [x], pool_size=size, strides=strides, padding=padding)

    def average(self, x: Entry) -> Entry:
        size = tuple(int(self.random.integers(1, min(n, 3) + 1)) for n in x.shape[2:])
        channels = x.shape[1]
        ones = self._constant(np.ones((channels, 1, *size)), 2)
        sums = self._add(
            "conv2d", [x, ones], channels=channels, kernel_size=size, groups=channels,
            use_bias=False,
        )  # fmt: skip
        return self.narrow(sums)

    def branch(self, x: Entry) -> Entry:
        """Parts along the channels, of which one is never below zero."""
        parts = [self.relu(x), self._shift(x, 1), x][: int(self.random.integers(2, 4))]
        return self._add("concatenate", parts, axis=1)

    def join(self, values: list[Entry]) -> Entry | None:
        """The newest value and one of the same shape, each times a number, added."""
        same = [v for v in values[:-1] if v.shape == values[-1].shape]
        if not same or self.random.random() < 0.3:
            return None
        operands = [values[-1], self._pick(same)]
        if self.random.random() < 0.6:
            operands = [
                self._add(
                    "broadcast_mul", [v, self._constant(self.random.integers(1, 2**13, 1), 14)]
                )
                for v in operands
            ]
        total = self._add(self._pick(("elemwise_add", "broadcast_sub")), operands)
        bits = max(1, total.precision - int(self.random.integers(7, 10)))
        return self._shift(total, bits)

    def densify(self, x: Entry) -> Entry:
        flat = self._add("flatten", [x])
        weight = self.random.integers(-127, 128, (3, flat.shape[1]))
        dense = self._add("dense", [flat, self._constant(weight, 8)], units=3, use_bias=False)
        return self.narrow_rows(dense) if self.random.random() < 0.5 else dense

    def narrow_rows(self, x: Entry) -> Entry:
        return self._shift(x, 9)
