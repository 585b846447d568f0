"""Single layers of the CPU's inference kernels: for packing's trials, tests and measuring.

Structures mirror ``native/infer_kernels.hpp``, where each field is explained.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_int32, c_uint32, c_void_p
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.cpu import library
from drivers.cpu.library import Status
from drivers.errors import BadArgument, DriverError, NotSupported

Bytes = NDArray[np.uint8]
Words = NDArray[np.int32]
SLACK_BYTES = 64
ALIGNMENT = 64


class Method(IntEnum):
    """``Method``."""

    PLAIN = 0
    DIRECT = 1
    DEPTHWISE = 2
    GROUPED = 3
    WINOGRAD = 4


def _fields(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class Image(ctypes.Structure):
    """A BYTES tensor."""

    _fields_ = (
        *_fields(c_uint32, "batch height width channels pixel_stride"),
        ("zero", c_int32),
    )

    def empty(self) -> Bytes:
        """(batch, height, width, pixel_stride), aligned, with the slack that readers need."""
        shape = (self.batch, self.height, self.width, self.pixel_stride)
        return aligned(int(np.prod(shape)))[: int(np.prod(shape))].reshape(shape)


class Window(ctypes.Structure):
    """How a kernel moves."""

    _fields_ = tuple(
        _fields(
            c_uint32,
            "rows columns row_stride column_stride top left bottom right "
            "row_dilation column_dilation",
        )
    )


class Rescale(ctypes.Structure):
    """``layers.Rescale`` but for its arrays."""

    _fields_ = tuple(_fields(c_int32, "pre_half pre_shift pre_low pre_high shift low high"))


class Residual(ctypes.Structure):
    """``layers.Residual`` but for its tensor."""

    _fields_ = (
        *_fields(c_int32, "own theirs half shift low high"),
        ("pixel_stride", c_uint32),
        ("zero", c_int32),
    )


class Convolution(ctypes.Structure):
    """A convolution's form."""

    _fields_ = (
        ("source", Image),
        ("target", Image),
        ("window", Window),
        *_fields(c_uint32, "groups rescaled has_residual"),
        ("rescale", Rescale),
        ("residual", Residual),
        *_fields(c_int32, "source_low source_high"),
    )


class Pool(ctypes.Structure):
    """A pool's form."""

    _fields_ = (
        ("source", Image),
        ("target", Image),
        ("window", Window),
        *_fields(c_uint32, "largest rescaled"),
        ("rescale", Rescale),
    )


class _Parameters(ctypes.Structure):
    """Addresses of what is packed."""

    _fields_ = tuple(_fields(c_void_p, "weight bias multiplier offset"))


class _Buffers(ctypes.Structure):
    _fields_ = tuple(_fields(c_void_p, "source other target scratch"))


def isa() -> str:
    """The instruction set that layers are packed for."""
    name: bytes = library.load().farmcpu_infer_isa()
    return name.decode()


def use_isa(name: str) -> None:
    """Pack for another. Raises `NotSupported` for one that the processor lacks."""
    if library.load().farmcpu_infer_use_isa(name.encode()) != Status.OK:
        raise NotSupported(f"this processor has no {name}; {isa()} is in use")


def multiply_registers(steps: int) -> int:
    """Products of bytes made in registers alone: the processor's limit."""
    return int(library.load().farmcpu_floor_multiply(steps))


def aligned(count: int) -> Bytes:
    """Zeros, aligned, with the slack that readers need."""
    memory = np.zeros(count + SLACK_BYTES + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + count + SLACK_BYTES]


class Team:
    """Threads of their own; closed by `with`."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.handle = library.load().farmcpu_team_create(threads)
        if not self.handle:
            raise DriverError(f"{threads} threads cannot be started; ask for fewer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        library.load().farmcpu_team_free(self.handle)


@dataclass(frozen=True)
class Weights:
    """What is packed: (out, in / groups, rows, columns), and one number for each output channel.
    All are contiguous."""

    weight: NDArray[np.int8]
    bias: Words
    multiplier: Words | None
    offset: Words | None

    def list_methods(self, form: Convolution) -> list[Method]:
        """The methods that are exact, the likely fastest first."""
        found = (c_uint32 * len(Method))()
        count = library.load().farmcpu_convolution_methods(
            byref(form), byref(self._parameters()), found
        )
        return [Method(number) for number in found[:count]]

    def pack(self, form: Convolution, method: Method, to: Bytes) -> None:
        """``to`` has `packed_bytes` and is aligned."""
        library.load().farmcpu_convolution_pack(
            byref(form), method, byref(self._parameters()), to.ctypes.data
        )

    def _parameters(self) -> _Parameters:
        return _Parameters(*map(_address, (self.weight, self.bias, self.multiplier, self.offset)))


def packed_bytes(form: Convolution, method: Method) -> int:
    return int(library.load().farmcpu_convolution_packed_bytes(byref(form), method))


class PackedConvolution:
    """A convolution with its weights, ready to run by one method."""

    def __init__(self, form: Convolution, weights: Weights, method: Method | None = None) -> None:
        """``method`` is the first of `methods` by default. Raises `BadArgument` for one that is
        not exact for this layer."""
        self.form = form
        self.methods = weights.list_methods(form)
        self.method = self.methods[0] if method is None else method
        if self.method not in self.methods:
            raise BadArgument(f"{self.method.name} is not for this layer; {self.methods} are")
        self.packed = aligned(packed_bytes(form, self.method))
        weights.pack(form, self.method, self.packed)

    def scratch(self, threads: int) -> Bytes:
        size = library.load().farmcpu_convolution_scratch_bytes
        return aligned(size(byref(self.form), self.method, threads))

    def bind(
        self, source: Bytes, other: Bytes | None, target: Bytes | Words, scratch: Bytes, team: Team
    ) -> Callable[[], None]:
        """What runs the layer on these buffers; it raises `BadArgument` if the packed bytes are
        not of this layer's form."""
        arrays = (source, other, target, scratch)
        buffers = _Buffers(*map(_address, arrays))
        run = library.load().farmcpu_convolve
        arguments = (byref(self.form), _address(self.packed), byref(buffers), team.handle)

        def call(keep: object = (self, arrays)) -> None:
            if run(*arguments) != Status.OK:
                raise BadArgument("the packed layer is of another form or instruction set")

        return call

    def run(
        self, source: Bytes, other: Bytes | None, target: Bytes | Words, scratch: Bytes, team: Team
    ) -> None:
        """As `bind`, once."""
        self.bind(source, other, target, scratch, team)()


def pool(
    form: Pool,
    multiplier: Words | None,
    offset: Words | None,
    source: Bytes,
    target: Bytes | Words,
    team: Team,
) -> None:
    _call("pool", (form,), (multiplier, offset, source, target), team)


def add(
    from_: Image,
    to: Image,
    residual: Residual,
    source: Bytes,
    other: Bytes,
    target: Bytes,
    team: Team,
) -> None:
    _call("add", (from_, to, residual), (source, other, target), team)


def scale(
    from_: Image,
    to: Image,
    rescale: Rescale,
    multiplier: Words,
    offset: Words,
    source: Bytes,
    target: Bytes,
    team: Team,
) -> None:
    _call("scale", (from_, to, rescale), (multiplier, offset, source, target), team)


def look_up(
    from_: Image, to: Image, table: Bytes, source: Bytes, target: Bytes, team: Team
) -> None:
    _call("look_up", (from_, to), (table, source, target), team)


def copy(from_: Image, to: Image, source: Bytes, target: Bytes, team: Team) -> None:
    _call("copy", (from_, to), (source, target), team)


def to_bytes(to: Image, source: Words, target: Bytes, team: Team) -> None:
    _call("to_bytes", (to,), (source, target), team)


def to_words(from_: Image, source: Bytes, target: Words, team: Team) -> None:
    _call("to_words", (from_,), (source, target), team)


def _call(
    name: str,
    forms: tuple[ctypes.Structure, ...],
    arrays: tuple[Bytes | Words | None, ...],
    team: Team,
) -> None:
    function = getattr(library.load(), f"farmcpu_{name}")
    function(*map(byref, forms), *map(_address, arrays), team.handle)


def _address(array: NDArray[Any] | None) -> int | None:
    return None if array is None else int(array.ctypes.data)
