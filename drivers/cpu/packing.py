"""Which method a convolution is packed for: the one that is fastest here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from drivers.cpu.layers import (
    Convolution,
    Image,
    Method,
    PackedConvolution,
    Team,
    Weights,
    packed_bytes,
)

_TRIALS = 5
#: What a method's packed bytes are counted for besides its time: they are read once as a model is
#: loaded, and from memory on every run of a large net.
_BYTES_PER_SECOND = 24e9
#: Layers of fewer multiply-accumulates take the method that is likely the fastest.
_LEAST_TIMED_MACS = 1 << 20


class MethodChoice:
    """Chooses by the processor time of one thread, once for each form of layer. The bits are the
    same whatever it says."""

    def __init__(self) -> None:
        self._chosen: dict[bytes, Method] = {}

    def choose(self, form: Convolution, weights: Weights) -> Method:
        methods = weights.list_methods(form)
        methods = [method for method in methods if method != Method.PLAIN] or methods
        if len(methods) == 1 or _macs(form) < _LEAST_TIMED_MACS:
            return methods[0]
        key = _shape_of(form) + bytes(methods)
        if key not in self._chosen:
            self._chosen[key] = _find_fastest(form, weights, methods)
        return self._chosen[key]


def _find_fastest(form: Convolution, weights: Weights, methods: Sequence[Method]) -> Method:
    """Each in turn, so that what else runs meets all alike; the least time counts."""
    with Team(1) as team:
        runs = [_bind(PackedConvolution(form, weights, method), team) for method in methods]
        seconds = [[_time(run) for run in runs] for _ in range(_TRIALS)]
    reading = np.array([packed_bytes(form, method) for method in methods]) / _BYTES_PER_SECOND
    return methods[int((np.array(seconds).min(axis=0) + reading).argmin())]


def _bind(packed: PackedConvolution, team: Team) -> Callable[[], None]:
    """The layer on buffers of its own."""
    form, image = packed.form, packed.form.target
    source, scratch = form.source.empty(), packed.scratch(team.threads)
    shape = (image.batch, image.channels, image.height, image.width)
    target = image.empty() if form.rescaled else np.zeros(shape, np.int32)
    other = _other_of(form).empty() if form.has_residual else None
    return packed.bind(source, other, target, scratch, team)


def _other_of(form: Convolution) -> Image:
    """What the residual adds, whose pixels may lie further apart than the target's."""
    image, residual = form.target, form.residual
    shape = (image.batch, image.height, image.width, image.channels)
    return Image(*shape, residual.pixel_stride, residual.zero)


def _time(run: Callable[[], None]) -> float:
    """Seconds of the processor that one run takes."""
    started = time.thread_time()
    run()
    return time.thread_time() - started


def _macs(form: Convolution) -> int:
    pixels = form.target.batch * form.target.height * form.target.width
    taps = form.window.rows * form.window.columns * form.source.channels // form.groups
    return prod((pixels, taps, form.target.channels))


def _shape_of(form: Convolution) -> bytes:
    parts = (form.source, form.target, form.window)
    flags = (form.groups, form.rescaled, form.has_residual)
    return b"".join(map(bytes, parts)) + str(flags).encode()
