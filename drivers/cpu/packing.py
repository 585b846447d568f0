"""One convolution's weights as the kernels want them, by the method that is fastest here."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from ctypes import byref
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from drivers.cpu import layers as native
from drivers.cpu import library
from drivers.cpu.layers import Method, PackedConvolution, Team

_TRIALS = 5
#: What a method's packed bytes are counted for besides its time: they are read once as a model is
#: loaded, and from memory on every run of a large net.
_BYTES_PER_SECOND = 24e9
#: Layers of fewer multiply-accumulates take the method that is likely the fastest.
_LEAST_TIMED_MACS = 1 << 20


@dataclass(frozen=True)
class Weights:
    """What is packed; (out, in / groups, rows, columns) and one number for each output channel."""

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32] | None
    offset: NDArray[np.int32] | None

    def list_methods(self, form: native.Convolution) -> list[Method]:
        """The methods that are exact, the likely fastest first."""
        found = (ctypes.c_uint32 * native.METHODS)()
        count = library.load().farmcpu_convolution_methods(
            byref(form), byref(self._parameters()), found
        )
        return [Method(number) for number in found[:count]]

    def pack(self, form: native.Convolution, method: Method, to: NDArray[np.uint8]) -> None:
        """``to`` has `packed_bytes` and is aligned."""
        library.load().farmcpu_convolution_pack(
            byref(form), method, byref(self._parameters()), to.ctypes.data
        )

    def trial(self, form: native.Convolution, method: Method) -> PackedConvolution:
        return PackedConvolution(form, self.weight, self.bias, self.multiplier, self.offset, method)

    def _parameters(self) -> native.Parameters:
        arrays = (self.weight, self.bias, self.multiplier, self.offset)
        return native.Parameters(*(None if a is None else a.ctypes.data for a in arrays))


def packed_bytes(form: native.Convolution, method: Method) -> int:
    return int(library.load().farmcpu_convolution_packed_bytes(byref(form), method))


class MethodChoice:
    """Chooses by the processor time of one thread, once for each form of layer. The bits are the
    same whatever it says."""

    def __init__(self) -> None:
        self._chosen: dict[bytes, Method] = {}

    def choose(self, form: native.Convolution, weights: Weights) -> Method:
        methods = weights.list_methods(form)
        methods = [method for method in methods if method != Method.PLAIN] or methods
        if len(methods) == 1 or _macs(form) < _LEAST_TIMED_MACS:
            return methods[0]
        key = _shape_of(form) + bytes(methods)
        if key not in self._chosen:
            self._chosen[key] = _find_fastest(form, weights, methods)
        return self._chosen[key]


def _find_fastest(form: native.Convolution, weights: Weights, methods: Sequence[Method]) -> Method:
    """Each in turn, so that what else runs meets all alike; the least time counts."""
    with Team(1) as team:
        runs = [_Trial(form, weights.trial(form, method), team) for method in methods]
        seconds = [[run.time() for run in runs] for _ in range(_TRIALS)]
    reading = np.array([packed_bytes(form, method) for method in methods]) / _BYTES_PER_SECOND
    return methods[int((np.array(seconds).min(axis=0) + reading).argmin())]


class _Trial:
    def __init__(self, form: native.Convolution, packed: PackedConvolution, team: Team) -> None:
        self._packed, self._team = packed, team
        self._source, target = form.source.empty(), form.target.empty()
        self._target: native.Bytes | native.Words = target
        if not form.rescaled:
            shape = (form.target.batch, form.target.channels, form.target.height)
            self._target = np.zeros((*shape, form.target.width), np.int32)
        self._other = target.copy() if form.has_residual else None
        self._scratch = packed.scratch(team.threads)

    def time(self) -> float:
        """Seconds of the processor that one run takes."""
        started = time.thread_time()
        self._packed.run(self._source, self._other, self._target, self._scratch, self._team)
        return time.thread_time() - started


def _macs(form: native.Convolution) -> int:
    pixels = form.target.batch * form.target.height * form.target.width
    taps = form.window.rows * form.window.columns * form.source.channels // form.groups
    return prod((pixels, taps, form.target.channels))


def _shape_of(form: native.Convolution) -> bytes:
    parts = (form.source, form.target, form.window)
    flags = (form.groups, form.rescaled, form.has_residual)
    return b"".join(map(bytes, parts)) + str(flags).encode()
