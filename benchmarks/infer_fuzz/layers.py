"""Draws of what networks are made of, which engines fuse: a convolution with all that follows."""

from __future__ import annotations

from benchmarks.infer_fuzz import elements, windows
from benchmarks.infer_fuzz.drawing import Drawing, Unfit
from node.spec.cvm.writer import Entry


def block(draw: Drawing, x: Entry) -> Entry:
    """Convolution or dense layer, brought back to a byte, perhaps rectified, added or pooled."""
    weighted = windows.convolve if len(x.shape) > 2 else windows.multiply_dense
    y = _return_to_byte(draw, weighted(draw, x))
    if draw.chance(0.4):
        y = draw.add("relu", y)
    if draw.chance(0.4):
        y = residual(draw, y)
    if draw.chance(0.3) and len(y.shape) == 4:
        y = windows.pool(draw, y)
    return y


def _return_to_byte(draw: Drawing, y: Entry) -> Entry:
    if draw.extended and draw.chance(0.7):
        return elements.requantise(draw, y)
    if draw.chance(0.5):
        shift = max(1, y.precision - draw.number(6, 12))
        return draw.add("cvm_right_shift", y, precision=8, shift_bit=shift)
    if y.precision > 16:
        shift = y.precision - 15
        y = draw.add("cvm_right_shift", y, precision=16, shift_bit=shift)
    channels = (y.shape[1], *[1] * (len(y.shape) - 2)) if draw.chance(0.5) else (1,)
    y = draw.add("broadcast_mul", y, draw.parameter(channels, 15, draw.pick((0, None))))
    return draw.add("cvm_right_shift", y, precision=8, shift_bit=draw.number(8, 20))


def residual(draw: Drawing, x: Entry) -> Entry:
    """Another byte of the same shape, added after multipliers; then back to a byte."""
    alike = [e for _, e in draw.made if e.shape == x.shape and e.precision <= 9 and e != x]
    if not alike or x.precision > 9:
        raise Unfit("nothing to add")
    other = draw.pick(alike)
    if draw.extended and draw.chance(0.7):
        low, high = draw.pick(((0, 255), (-127, 127)))
        own, theirs = draw.number(1, 32767), draw.number(1, 32767)
        shift = draw.number(10, 16)
        return draw.add(
            "scaled_add", x, other, own=own, theirs=theirs, shift=shift, low=low, high=high
        )
    parts = [draw.add("broadcast_mul", e, draw.parameter((1,), 15, 0)) for e in (x, other)]
    total = draw.add("broadcast_add", *parts)
    y = draw.add("cvm_right_shift", total, precision=8, shift_bit=draw.number(8, 16))
    return draw.add("relu", y) if draw.chance(0.5) else y
