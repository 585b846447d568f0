"""Programs of the extension form for tests: as converters write them, with extreme numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from drivers.program import Program, Step


class ProgramWriter:
    """Values are (number, shape, low, high)."""

    def __init__(self, shape: tuple[int, ...], precision: int = 8) -> None:
        self.shapes, self.precisions = [shape], [precision]
        self.parameters: dict[int, np.ndarray] = {}
        self.steps: list[tuple[str, list[int], int, dict[str, Any]]] = []

    def constant(self, values: np.ndarray) -> int:
        number = self._number(values.shape)
        self.parameters[number] = values.astype(np.int32)
        return number

    def add(self, op: str, inputs: list[int], shape: tuple[int, ...], **attributes: Any) -> int:
        number = self._number(shape)
        self.steps.append((op, inputs, number, attributes))
        return number

    def _number(self, shape: tuple[int, ...]) -> int:
        self.shapes.append(tuple(int(size) for size in shape))
        self.precisions.append(32)
        return len(self.shapes) - 1

    def finish(self, heads: list[int]) -> Program:
        steps = [Step(op, tuple(i), (o,), a) for op, i, o, a in self.steps]
        return Program(
            tuple(self.shapes), tuple(self.precisions), self.parameters, tuple(steps), tuple(heads)
        )


class RandomNet:
    """A net of the extension form: bytes with and without sign, multipliers for each channel."""

    def __init__(self, random: Generator, side: int = 12, channels: int = 9) -> None:
        self.random = random
        self.channels = channels
        shape = (int(random.integers(1, 3)), int(random.integers(1, channels + 1)),
                 *(int(n) for n in random.integers(3, side, 2)))  # fmt: skip
        self.writer = ProgramWriter(shape)
        self.bounds = {0: (-127, 127)}

    def build(self, layers: int) -> Program:
        values = [0]
        for _ in range(layers):
            kinds = (self.convolve, self.convolve, self.add, self.pool, self.average, self.table)
            made = kinds[int(self.random.integers(len(kinds)))](values)
            if made is not None:
                values.append(made)
        heads = sorted({values[-1], values[int(self.random.integers(len(values)))]})
        return self.writer.finish([*heads, self.classify(values[-1])])

    def shape(self, value: int) -> tuple[int, ...]:
        return self.writer.shapes[value]

    def convolve(self, values: list[int]) -> int:
        source = values[-1]
        n, c, h, w = self.shape(source)
        groups = int(self.random.choice([1, 1, 1, c]))
        out = groups * int(self.random.integers(1, max(2, self.channels // groups)))
        size = [int(self.random.integers(1, min(4, d) + 1)) for d in (h, w)]
        strides = tuple(int(d) for d in self.random.integers(1, 3, 2))
        pads = tuple(int(p) for p in self.random.integers(0, 3, 4))
        weight = self.random.choice([-127, -128, 127, 1, 0, -3], (out, c // groups, *size))
        bias = self.random.integers(-(2**15), 2**15, out)
        rows, columns = (
            (d + before + after - k) // stride + 1
            for d, before, after, k, stride in zip(
                (h, w), pads[:2], pads[2:], size, strides, strict=True
            )
        )
        shape = (n, out, rows, columns)
        w_number, b_number = self.writer.constant(weight), self.writer.constant(bias)
        attributes = {"strides": strides, "padding": pads, "dilation": (1, 1), "groups": groups}
        sums = self.writer.add("conv2d", [source, w_number, b_number], shape, **attributes)
        return self._requantise(self.writer.add("cvm_clip", [sums], shape, precision=18), 17)

    def _requantise(self, value: int, bits: int) -> int:
        pre = int(self.random.integers(0, 4))
        shift = int(self.random.integers(8, 24))
        most = min(2**14, (2**31 - 1 - 2**shift) >> (bits - pre + 1))
        size = self.shape(value)[1] if self.random.random() < 0.7 else 1
        multiplier = self.writer.constant(self.random.integers(1, most, size))
        low, high = self._range()
        made = self.writer.add(
            "requantise", [value, multiplier], self.shape(value),
            axis=1, pre_shift=pre, shift=shift, low=low, high=high,
        )  # fmt: skip
        self.bounds[made] = (low, high)
        return made

    def _range(self) -> tuple[int, int]:
        ranges = [(0, 255), (-127, 127), (-128, 127), (0, 6), (-5, 3)]
        return ranges[int(self.random.integers(len(ranges)))]

    def add(self, values: list[int]) -> int | None:
        same = [v for v in values[:-1] if self.shape(v) == self.shape(values[-1])]
        if not same:
            return None
        other = same[int(self.random.integers(len(same)))]
        own, theirs = (int(x) for x in self.random.integers(-(2**13), 2**13, 2))
        low, high = self._range()
        made = self.writer.add(
            "scaled_add", [values[-1], other], self.shape(other),
            own=own, theirs=theirs, shift=int(self.random.integers(0, 16)), low=low, high=high,
        )  # fmt: skip
        self.bounds[made] = (low, high)
        return made

    def pool(self, values: list[int]) -> int:
        return self._pool(values[-1], "max_pool2d")

    def average(self, values: list[int]) -> int:
        return self._pool(
            values[-1], "avg_pool2d", count_include_pad=int(self.random.integers(0, 2))
        )

    def _pool(self, source: int, op: str, **attributes: Any) -> int:
        n, c, h, w = self.shape(source)
        size = [int(self.random.integers(1, min(4, d) + 1)) for d in (h, w)]
        pads = [int(self.random.integers(0, k)) for k in size]
        strides = tuple(int(d) for d in self.random.integers(1, 3, 2))
        rows, columns = (
            (d + 2 * p - k) // s + 1 for d, p, k, s in zip((h, w), pads, size, strides, strict=True)
        )
        made = self.writer.add(
            op, [source], (n, c, rows, columns), pool_size=tuple(size), strides=strides,
            padding=tuple(pads), ceil_mode=0, **attributes,
        )  # fmt: skip
        self.bounds[made] = self.bounds[source]
        return made

    def table(self, values: list[int]) -> int:
        low, high = self._range()
        entries = self.writer.constant(self.random.integers(low, high + 1, 256))
        zero = 128 if self.bounds[values[-1]][0] < 0 else 0
        made = self.writer.add("table", [values[-1], entries], self.shape(values[-1]), zero=zero)
        self.bounds[made] = (low, high)
        return made

    def classify(self, value: int) -> int:
        n, *rest = self.shape(value)
        flat = self.writer.add("reshape", [value], (n, int(np.prod(rest))))
        weight = self.writer.constant(self.random.integers(-127, 128, (5, int(np.prod(rest)))))
        return self.writer.add("dense", [flat, weight], (n, 5), units=5, use_bias=0)
