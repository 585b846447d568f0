"""From a program to a stick's model image: a list of layers over one arena of 32-bit numbers, and
the weights as bytes (docs/usb-stick-protocol.md, "Model image")."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from drivers.errors import BadArgument, NotSupported, OutOfMemory
from drivers.program import Program, Step

MAGIC = 0x314D5346
NONE = 0xFFFFFFFF
LAYER = struct.Struct("<20I")
CONV2D, DENSE, RELU, RIGHT_SHIFT, CLIP, MAX_POOL2D, ADD, SUBTRACT = range(1, 9)
#: Steps that only give their input another shape.
SAME_WORDS = {"flatten", "reshape", "squeeze", "expand_dims", "identity"}


@dataclass(frozen=True)
class Image:
    content: bytes
    input_words: int
    output_words: int
    arena_words: int


def build_image(program: Program) -> Image:
    """Raises `NotSupported` naming the step that a stick does not compute, or whose constants do
    not fit a byte."""
    return _Builder(program).build()


@dataclass
class _Builder:
    program: Program
    parameters: bytearray = field(default_factory=bytearray)
    alias: dict[int, int] = field(default_factory=dict)
    """Values that lie where another does."""

    def build(self) -> Image:
        steps = [step for step in self.program.steps if not self._is_alias(step)]
        arena = _Arena(self.program, steps, self._root)
        layers = [self._layer(step, arena.place) for step in steps]
        heads = [self._root(head) for head in self.program.heads]
        words = [_words(self.program.shapes[head]) for head in self.program.heads]
        header = struct.pack(
            "<6I", MAGIC, _words(self.program.shapes[0]), len(heads), len(layers),
            arena.words, len(self.parameters),
        )  # fmt: skip
        content = header
        for head, count in zip(heads, words, strict=True):
            content += struct.pack("<2I", self._head_place(head, arena.place), count)
        content += b"".join(layers) + bytes(self.parameters)
        return Image(content, _words(self.program.shapes[0]), sum(words), arena.words)

    def _is_alias(self, step: Step) -> bool:
        if step.op not in SAME_WORDS:
            return False
        self.alias[step.outputs[0]] = step.inputs[0]
        return True

    def _root(self, value: int) -> int:
        while value in self.alias:
            value = self.alias[value]
        return value

    def _head_place(self, head: int, place: Mapping[int, int]) -> int:
        if head not in place:
            raise NotSupported("a head that is a constant is not computed by a stick")
        return place[head]

    def _layer(self, step: Step, place: Mapping[int, int]) -> bytes:
        kind, numbers = self._numbers(step)
        sources = [self._root(v) for v in step.inputs if v not in self.program.parameters]
        wanted = 2 if kind in (ADD, SUBTRACT) else 1
        if len(sources) != wanted:
            raise NotSupported(f"a stick computes {step.op} of computed values only")
        first, second = place[sources[0]], place[sources[1]] if wanted == 2 else NONE
        padded = [*numbers, *[0] * (16 - len(numbers))]
        return LAYER.pack(kind, first, second, place[step.outputs[0]], *padded)

    def _numbers(self, step: Step) -> tuple[int, list[int]]:
        shapes = self.program.shapes
        words = _words(shapes[step.outputs[0]])
        match step.op:
            case "conv2d":
                return CONV2D, self._convolution(step)
            case "dense":
                rows, units = shapes[step.outputs[0]]
                weights = self._bytes(step, 1)
                bias = self._bias(step)
                return DENSE, [rows, shapes[step.inputs[0]][1], units, weights, bias]
            case "max_pool2d":
                ceil = _number(step, "ceil_mode", 0)
                pool = _pair(step, "pool_size", 1)
                return MAX_POOL2D, [*self._window(step, pool), ceil]
            case "relu":
                return RELU, [words]
            case "cvm_right_shift":
                bits, shift = _number(step, "precision", 32), _number(step, "shift_bit", 1)
                return RIGHT_SHIFT, [words, bits, shift]
            case "cvm_clip":
                return CLIP, [words, _number(step, "precision", 32)]
            case "elemwise_add" | "elemwise_sub":
                return (ADD if step.op == "elemwise_add" else SUBTRACT), [words]
        raise NotSupported(f"a stick does not compute {step.op}")

    def _window(self, step: Step, kernel: tuple[int, int]) -> list[int]:
        shape = self.program.shapes[step.inputs[0]]
        if len(shape) != 4 or shape[0] != 1:
            raise NotSupported(f"a stick computes {step.op} of one image at a time")
        strides, padding = _pair(step, "strides", 1), _pair(step, "padding", 0)
        return [*shape[1:], *kernel, *strides, *padding, *_pair(step, "dilation", 1)]

    def _convolution(self, step: Step) -> list[int]:
        outputs, _, high, wide = self.program.shapes[step.inputs[1]]
        groups = _number(step, "groups", 1)
        weights, bias = self._bytes(step, 1), self._bias(step)
        return [*self._window(step, (high, wide)), outputs, groups, weights, bias]

    def _bytes(self, step: Step, index: int) -> int:
        """Where the weights lie among the parameters, one byte each."""
        values = self._constant(step, index)
        if np.abs(values).max(initial=0) > 127:
            raise NotSupported(f"the weights of {step.op} do not fit a byte")
        return self._keep(values.astype("<i1").tobytes())

    def _bias(self, step: Step) -> int:
        if len(step.inputs) < 3:
            return NONE
        return self._keep(self._constant(step, 2).astype("<i4").tobytes())

    def _constant(self, step: Step, index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        value = step.inputs[index]
        if value not in self.program.parameters:
            raise NotSupported(f"a stick computes {step.op} with constant weights only")
        return self.program.parameters[value]

    def _keep(self, content: bytes) -> int:
        offset = len(self.parameters)
        self.parameters += content
        return offset


class _Arena:
    """Where each value lies: first fit, a place being free again after its last reader."""

    def __init__(self, program: Program, steps: Sequence[Step], root: Callable[[int], int]) -> None:
        """``root`` tells of a value where it lies, if it is another's alias."""
        self.place: dict[int, int] = {0: 0}
        last = {root(v): n for n, step in enumerate(steps) for v in step.inputs}
        last |= {root(head): len(steps) for head in program.heads}
        busy = {0: _words(program.shapes[0])}
        self.words = busy[0]
        for number, step in enumerate(steps):
            out, size = step.outputs[0], _words(program.shapes[step.outputs[0]])
            self.place[out] = self._fit(busy, size)
            busy[out] = size
            self.words = max(self.words, self.place[out] + size)
            for value in [v for v in busy if last.get(v, -1) <= number]:
                del busy[value]

    def _fit(self, busy: Mapping[int, int], size: int) -> int:
        taken = sorted((self.place[value], self.place[value] + busy[value]) for value in busy)
        start = 0
        for begin, end in taken:
            if begin - start >= size:
                return start
            start = max(start, end)
        return start


def check_fits(image: Image, image_bytes: int, arena_words: int) -> None:
    """Raises `OutOfMemory` naming what is too large for the stick."""
    if len(image.content) > image_bytes:
        size = len(image.content)
        raise OutOfMemory(f"the model takes {size} bytes; this stick holds {image_bytes}")
    if image.arena_words > arena_words:
        raise OutOfMemory(
            f"the model works on {image.arena_words} numbers; this stick holds {arena_words}"
        )


def check_input(image: Image, data: bytes) -> None:
    if len(data) != 4 * image.input_words:
        raise BadArgument(f"the input must be {4 * image.input_words} bytes, not {len(data)}")


def _words(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _number(step: Step, name: str, default: int) -> int:
    value = step.attributes.get(name, default)
    return value if isinstance(value, int) else value[0]


def _pair(step: Step, name: str, default: int) -> tuple[int, int]:
    value = step.attributes.get(name, default)
    if isinstance(value, int):
        return value, value
    if len(value) > 2:
        raise NotSupported(f"a stick computes {step.op} with the same {name} at both ends only")
    return value[0], value[-1]
