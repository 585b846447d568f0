"""Tensors of a plan in the CPU's workspace: strides, places, and the kernels' structures."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from drivers.cpu import layers as native
from drivers.kernels.infer.geometry import as_planes
from drivers.kernels.infer.layers import Form, Plan, Rescale, Residual, Window
from drivers.kernels.infer.memory import Part, arrange, find_lifetimes, nest_parts

WORD_BYTES = 4
#: Pixels of fewer channels stay as they are; others are a multiple of this.
_WIDE_CHANNELS = 16


@dataclass(frozen=True)
class Placement:
    """Where each tensor of ``plan`` lies."""

    plan: Plan
    parts: dict[int, Part]
    places: dict[int, int]
    """First byte, of all but constants."""
    total_bytes: int

    def image(self, tensor: int) -> native.Image:
        """A BYTES tensor, or the shape of a WORDS tensor that a kernel reads or writes."""
        found = self.plan.tensors[tensor]
        n, c, h, w = as_planes(found.shape)
        zero = found.zero if found.form is Form.BYTES else 0
        return native.Image(n, h, w, c, self._stride(tensor), zero)

    def _stride(self, tensor: int) -> int:
        part = self.parts.get(tensor)
        return _stride_of(as_planes(self.plan.tensors[part.whole if part else tensor].shape)[1])

    def residual(self, residual: Residual) -> native.Residual:
        other = self.image(residual.other)
        return native.Residual(
            residual.own, residual.theirs, residual.half, residual.shift, residual.low,
            residual.high, other.pixel_stride, other.zero,
        )  # fmt: skip


def place(plan: Plan) -> Placement:
    parts = nest_parts(plan)
    lifetimes = find_lifetimes(plan, parts)
    sizes = {buffer: _bytes_of(plan, buffer) for buffer in lifetimes}
    arena = arrange(sizes, lifetimes, native.ALIGNMENT)
    places = dict(arena.places)
    for tensor, part in parts.items():
        places[tensor] = places[part.whole] + part.channel
    return Placement(plan, parts, places, arena.total_bytes)


def _stride_of(channels: int) -> int:
    if channels < _WIDE_CHANNELS:
        return channels
    return -(-channels // _WIDE_CHANNELS) * _WIDE_CHANNELS


def _bytes_of(plan: Plan, tensor: int) -> int:
    found = plan.tensors[tensor]
    if found.form is Form.WORDS:
        return prod(found.shape) * WORD_BYTES + native.SLACK_BYTES
    n, c, h, w = as_planes(found.shape)
    return n * h * w * _stride_of(c) + native.SLACK_BYTES


def window_of(window: Window) -> native.Window:
    return native.Window(*window.size, *window.strides, *window.padding, *window.dilation)


def rescale_of(rescale: Rescale) -> native.Rescale:
    return native.Rescale(
        rescale.pre_half, rescale.pre_shift, rescale.pre_low, rescale.pre_high, rescale.shift,
        rescale.low, rescale.high,
    )  # fmt: skip
