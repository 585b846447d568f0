"""Draws of operators on single elements and pairs of them."""

from __future__ import annotations

from benchmarks.infer_fuzz.drawing import Drawing, Unfit
from node.spec.cvm.operators.operator import Shape
from node.spec.cvm.writer import Entry

_LIMIT = (1 << 31) - 1


def apply_unary(draw: Drawing, x: Entry) -> Entry:
    return draw.add(draw.pick(("relu", "abs", "negative", "cvm_precision")), x)


def clip(draw: Drawing, x: Entry) -> Entry:
    if draw.chance(0.5):
        return draw.add("cvm_clip", x, precision=draw.number(2, 32))
    low = draw.number(-min(2 * x.limit, _LIMIT - 1), min(x.limit, _LIMIT - 2))
    high = draw.number(low + 1, min(max(2 * x.limit, low + 1), _LIMIT - 1))
    return draw.add("clip", x, a_min=low, a_max=high)


def shift_right(draw: Drawing, x: Entry) -> Entry:
    """Such that no official wrap is met: the shifted value has its precision, or is clipped."""
    shift = draw.number(1, max(1, min(30, x.precision)))
    least = max(2, x.precision - shift + 1)
    precision = draw.number(2, 32)
    if precision + shift >= 32:
        precision = max(precision, least)
    if shift == 1 and x.precision == 32:
        raise Unfit("the addition would wrap")
    return draw.add("cvm_right_shift", x, precision=precision, shift_bit=shift)


def combine(draw: Drawing, x: Entry) -> Entry:
    """With a constant that broadcasts, or with a value of the same shape."""
    operator = draw.pick(
        (
            "broadcast_add",
            "broadcast_sub",
            "broadcast_mul",
            "broadcast_max",
            "broadcast_div",
            "broadcast_greater",
        )
    )
    if x.precision > 24:
        x = draw.narrow(x, 16)
    alike = [entry for _, entry in draw.made if entry.shape == x.shape]
    if alike and draw.chance(0.4):
        other = draw.narrow(draw.pick(alike), 30 - x.precision if "mul" in operator else 30)
    else:
        other = draw.parameter(_broadcast(draw, x.shape), draw.pick((2, 8, 15)))
    pair = (other, x) if draw.chance(0.3) else (x, other)
    return draw.add(operator, *pair)


def _broadcast(draw: Drawing, shape: Shape) -> Shape:
    """A shape that broadcasts against another: one a channel, one for all, or as it comes."""
    style = draw.number(0, 3)
    if style == 0:
        return (1,)
    if style == 1 and len(shape) > 1:
        return (shape[1], *[1] * (len(shape) - 2))
    kept = tuple(size if draw.chance(0.5) else 1 for size in shape)
    return kept[draw.number(0, len(kept) - 1) :]


def add_alike(draw: Drawing, x: Entry) -> Entry:
    alike = [e for _, e in draw.made if e.shape == x.shape and e.precision < 31]
    if not alike or x.precision > 30:
        raise Unfit("nothing of the same shape")
    return draw.add(draw.pick(("elemwise_add", "elemwise_sub")), x, draw.pick(alike))


def look_up(draw: Drawing, x: Entry) -> Entry:
    """Indices beyond the table are taken for its ends."""
    entries = draw.size() * 4
    table = draw.parameter((entries,), draw.pick((8, 16)))
    return draw.add("cvm_lut", x, table, in_dim=entries)


def choose(draw: Drawing, x: Entry) -> Entry:
    x = draw.narrow(x, draw.pick((8, 16)))
    condition = draw.parameter(x.shape, max(x.precision, 2))
    return draw.add("where", condition, x, draw.parameter(x.shape, x.precision))


def requantise(draw: Drawing, x: Entry) -> Entry:
    """As after a convolution: a multiplier for each channel, half up, to a byte or other ends."""
    if len(x.shape) < 2:
        raise Unfit("no channels")
    channels = x.shape[1] if draw.chance(0.7) else 1
    multiplier = draw.parameter((channels,), draw.pick((15, 8)), draw.pick((0, None)))
    before = max(0, x.precision - draw.number(12, 16))
    low, high = draw.pick(((0, 255), (-127, 127), (-128, 127), (0, 127), (-31, 31), (-3, 1000)))
    return draw.add(
        "requantise",
        x,
        multiplier,
        axis=1,
        pre_shift=before,
        shift=draw.number(0, 24),
        low=low,
        high=high,
    )


def add_scaled(draw: Drawing, x: Entry) -> Entry:
    x = draw.narrow(x, 14)
    alike = [e for _, e in draw.made if e.shape == x.shape and e.precision <= 14]
    other = draw.pick(alike) if alike and draw.chance(0.7) else draw.parameter(x.shape, 8)
    low, high = draw.pick(((0, 255), (-127, 127), (-128, 127), (0, 200)))
    own, theirs = (draw.number(-32767, 32767) for _ in range(2))
    return draw.add(
        "scaled_add", x, other, own=own, theirs=theirs, shift=draw.number(0, 20), low=low, high=high
    )


def read_table(draw: Drawing, x: Entry) -> Entry:
    x = draw.narrow(x, 9)
    return draw.add("table", x, draw.parameter((256,), 9), zero=draw.pick((0, 128, 17)))


def soften(draw: Drawing, x: Entry) -> Entry:
    x = draw.narrow(x, 16)
    powers = draw.parameter((draw.size() * 8,), draw.pick((8, 16)), draw.pick((0, 0, None)))
    axis = draw.number(-len(x.shape), len(x.shape) - 1)
    return draw.add("softmax", x, powers, axis=axis, scale=draw.pick((1, 127, 255, 4000)))


def normalise(draw: Drawing, x: Entry) -> Entry:
    x = draw.narrow(x, draw.pick((8, 16)))
    length = x.shape[-1]
    gamma, beta = draw.parameter((length,), 12), draw.parameter((length,), 20)
    fraction, shift = draw.number(0, 15), draw.number(0, 20)
    return draw.add(
        "layer_norm", x, gamma, beta, fraction=fraction, shift=shift, low=-127, high=127
    )
