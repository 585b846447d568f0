"""Steps that no kernel computes, as a program for the host."""

from __future__ import annotations

import math

from drivers.kernels.gpu.infer.schedule import HostWork
from drivers.kernels.infer.layers import Plan
from drivers.program import Program, Step

MOST_BITS = 32


def program_of(plan: Plan, work: HostWork) -> Program:
    """Its input is the inputs of the work, flat and one after another (one number where there
    are none); its heads are the outputs."""
    return _Translation(plan).run(work)


class _Translation:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.numbers: dict[int, int] = {}
        self.shapes: list[tuple[int, ...]] = []
        self.precisions: list[int] = []
        self.steps: list[Step] = []

    def run(self, work: HostWork) -> Program:
        made = {number for step in work.steps for number in step.outputs}
        read = {number for step in work.steps for number in step.inputs} - made
        widest = max((self._precision(place.tensor) for place in work.inputs), default=1)
        flat = self._add((max(1, sum(place.size_bytes // 4 for place in work.inputs)),), widest)
        parameters = {
            self._new_value(number): self.plan.constants[number]
            for number in sorted(read & set(self.plan.constants))
        }
        end = 0
        for place in work.inputs:
            begin, end = end, end + math.prod(place.shape)
            self._cut(flat, begin, end, place.tensor)
        for step in work.steps:
            inputs = tuple(self.numbers[number] for number in step.inputs)
            outputs = tuple(map(self._new_value, step.outputs))
            self.steps.append(Step(step.op, inputs, outputs, step.attributes))
        heads = tuple(self.numbers[place.tensor] for place in work.outputs)
        shapes, precisions = tuple(self.shapes), tuple(self.precisions)
        return Program(shapes, precisions, parameters, tuple(self.steps), heads)

    def _cut(self, flat: int, begin: int, end: int, tensor: int) -> None:
        part = self._add((end - begin,), self._precision(tensor))
        window = {"begin": (begin,), "end": (end,), "stride": (1,)}
        self.steps.append(Step("strided_slice", (flat,), (part,), window))
        self.steps.append(Step("reshape", (part,), (self._new_value(tensor),), {}))

    def _new_value(self, tensor: int) -> int:
        shape = self.plan.tensors[tensor].shape
        self.numbers[tensor] = self._add(shape, self._precision(tensor))
        return self.numbers[tensor]

    def _precision(self, tensor: int) -> int:
        """Bits of the values that a tensor is proved to have."""
        bounds = self.plan.tensors[tensor]
        return min(MOST_BITS, max(abs(bounds.low), abs(bounds.high)).bit_length() + 1)

    def _add(self, shape: tuple[int, ...], precision: int) -> int:
        self.shapes.append(shape)
        self.precisions.append(precision)
        return len(self.shapes) - 1
