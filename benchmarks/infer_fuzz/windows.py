"""Draws of operators that slide over space, and of products: both forms."""

from __future__ import annotations

from benchmarks.infer_fuzz.drawing import Drawing, Unfit
from node.spec.cvm.writer import Entry

#: The most bits of an activation: the CVM's, and the extension's (0…255).
_CVM_BITS, _EXTENDED_BITS = 8, 9


def convolve(draw: Drawing, x: Entry) -> Entry:
    spatial = _spatial(draw, x, (2,) if not draw.extended else (1, 2, 3))
    x = draw.narrow(x, _EXTENDED_BITS if draw.extended else _CVM_BITS)
    channels = x.shape[1]
    groups = draw.pick([g for g in range(1, channels + 1) if channels % g == 0])
    outputs = groups * draw.pick((1, 2, 3) if groups > 4 else (1, 2, 5, 16, 17, 67))
    size = tuple(draw.pick((1, 1, 2, 3, 3, 5)) for _ in range(spatial))
    weight = draw.parameter((outputs, channels // groups, *size), draw.pick((8, 8, 6, 2)))
    bias = [draw.parameter((outputs,), draw.pick((8, 16, 24)))] if draw.chance(0.6) else []
    return draw.add(
        f"conv{spatial}d",
        x,
        weight,
        *bias,
        channels=outputs,
        kernel_size=size,
        strides=_numbers(draw, spatial, (1, 1, 2, 3)),
        padding=_padding(draw, spatial, (0, 0, 1, 2, 5)),
        dilation=_numbers(draw, spatial, (1, 1, 2, 3)),
        groups=groups,
        use_bias=bool(bias),
    )


def convolve_transposed(draw: Drawing, x: Entry) -> Entry:
    spatial = _spatial(draw, x, (1, 2, 3))
    x = draw.narrow(x, _EXTENDED_BITS)
    channels = x.shape[1]
    groups = draw.pick([g for g in range(1, channels + 1) if channels % g == 0])
    outputs = groups * draw.pick((1, 2, 3))
    size = tuple(draw.pick((1, 2, 3)) for _ in range(spatial))
    strides = _numbers(draw, spatial, (1, 2, 3))
    weight = draw.parameter((channels, outputs // groups, *size), 8)
    bias = [draw.parameter((outputs,), 16)] if draw.chance(0.5) else []
    return draw.add(
        f"conv_transpose{spatial}d",
        x,
        weight,
        *bias,
        channels=outputs,
        kernel_size=size,
        strides=strides,
        padding=_padding(draw, spatial, (0, 0, 1)),
        output_padding=tuple(draw.number(0, stride - 1) for stride in strides),
        groups=groups,
        use_bias=bool(bias),
    )


def pool(draw: Drawing, x: Entry) -> Entry:
    kind = draw.pick(("max", "max", "avg")) if draw.extended else "max"
    spatial = _spatial(draw, x, (1, 2, 3) if draw.extended else (2,))
    size = tuple(min(draw.pick((1, 2, 3, 5)), side) for side in x.shape[2:])
    options: dict[str, object] = {"ceil_mode": draw.chance(0.5)}
    if kind == "avg":
        x = draw.narrow(x, draw.pick((8, 16)))
        options["count_include_pad"] = draw.chance(0.5)
    padding = tuple(draw.number(0, each - 1) for each in size)
    strides = _numbers(draw, spatial, (1, 2, 3))
    kinds = {"pool_size": size, "strides": strides, "padding": padding}
    return draw.add(f"{kind}_pool{spatial}d", x, **kinds, **options)


def multiply_dense(draw: Drawing, x: Entry) -> Entry:
    if len(x.shape) != 2:
        x = draw.add("flatten", x)
    x = draw.narrow(x, _EXTENDED_BITS if draw.extended else _CVM_BITS)
    units = draw.size()
    weight = draw.parameter((units, x.shape[1]), draw.pick((8, 6)))
    bias = [draw.parameter((units,), draw.pick((8, 20)))] if draw.chance(0.6) else []
    return draw.add("dense", x, weight, *bias, units=units, use_bias=bool(bias))


def multiply_batches(draw: Drawing, x: Entry) -> Entry:
    if len(x.shape) < 2:
        raise Unfit("a product needs rows and columns")
    x = draw.narrow(x, _EXTENDED_BITS)
    *outer, _, inner = x.shape
    turned = draw.chance(0.5)
    width = draw.size()
    shape = (*outer, width, inner) if turned else (*outer, inner, width)
    return draw.add("batch_matmul", x, draw.parameter(shape, 8), transpose_b=turned)


def upsample(draw: Drawing, x: Entry) -> Entry:
    if not draw.extended:
        return draw.add("upsampling", x, scale=draw.number(1, 3))
    spatial = _spatial(draw, x, (1, 2, 3))
    method = draw.pick(("nearest", "linear"))
    x = draw.narrow(x, draw.pick((8, 16)))
    if draw.chance(0.5):
        return draw.add("upsample", x, scale=draw.number(1, 3), method=method)
    sides = tuple(draw.number(1, 7) for _ in range(spatial))
    return draw.add("resize", x, size=sides, method=method)


def _spatial(draw: Drawing, x: Entry, allowed: tuple[int, ...]) -> int:
    spatial = len(x.shape) - 2
    if spatial not in allowed:
        raise Unfit(f"{spatial} spatial dimensions")
    return spatial


def _numbers(draw: Drawing, count: int, choices: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(draw.pick(choices) for _ in range(count))


def _padding(draw: Drawing, spatial: int, choices: tuple[int, ...]) -> tuple[int, ...]:
    """Both ends alike, or (in the extension form) begins, then ends."""
    both = draw.extended and draw.chance(0.4)
    return _numbers(draw, 2 * spatial if both else spatial, choices)
