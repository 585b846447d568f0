"""Draws of operators that move, pick, reduce and order elements."""

from __future__ import annotations

import numpy as np

from benchmarks.infer_fuzz.drawing import Drawing, Unfit
from node.spec.cvm.writer import Entry

_MOST_DIMENSIONS = 6


def reshape(draw: Drawing, x: Entry) -> Entry:
    """Into up to four dimensions of the same size."""
    sizes, left = [], x.size
    for _ in range(draw.number(0, 3)):
        divisors = [d for d in range(1, min(left, 64) + 1) if left % d == 0]
        sizes.append(draw.pick(divisors))
        left //= sizes[-1]
    return draw.add("reshape", x, shape=(*sizes, left))


def change_rank(draw: Drawing, x: Entry) -> Entry:
    operator = draw.pick(("flatten", "squeeze", "expand_dims"))
    if operator != "expand_dims":
        return draw.add(operator, x)
    if len(x.shape) >= _MOST_DIMENSIONS:
        raise Unfit("no room for a dimension")
    return draw.add(operator, x, axis=draw.number(0, len(x.shape)), num_newaxis=1)


def transpose(draw: Drawing, x: Entry) -> Entry:
    axes = tuple(int(axis) for axis in draw.random.permutation(len(x.shape)))
    return draw.add("transpose", x, axes=axes if draw.chance(0.8) else ())


def concatenate(draw: Drawing, x: Entry) -> Entry:
    axis = draw.number(0, len(x.shape) - 1)

    def joins(other: Entry) -> bool:
        same = len(other.shape) == len(x.shape)
        return same and all(
            a == b for n, (a, b) in enumerate(zip(x.shape, other.shape, strict=True)) if n != axis
        )

    others = [entry for _, entry in draw.made if joins(entry)]
    parts = [x, *(draw.pick(others) for _ in range(draw.number(0, 2)) if others)]
    if draw.chance(0.3):
        parts.append(draw.parameter(x.shape, min(x.precision, 16)))
    return draw.add("concatenate", *parts, axis=axis)


def repeat(draw: Drawing, x: Entry) -> Entry:
    if draw.chance(0.5):
        axis = draw.number(-len(x.shape), len(x.shape) - 1)
        return draw.add("repeat", x, repeats=draw.number(1, 3), axis=axis)
    return draw.add("tile", x, reps=tuple(draw.number(1, 2) for _ in x.shape))


def slice_strided(draw: Drawing, x: Entry) -> Entry:
    """Steps of either sign; ends may lie beyond the value."""
    begins, ends, strides = [], [], []
    for size in x.shape:
        first, last = sorted((draw.number(0, size - 1), draw.number(0, size - 1)))
        stride = draw.pick((1, 1, 2, 3, -1, -2))
        begins.append(first if stride > 0 else last)
        ends.append(last + 1 if stride > 0 else first - 1 - size * (first == 0))
        strides.append(stride)
    return draw.add("strided_slice", x, begin=tuple(begins), end=tuple(ends), stride=tuple(strides))


def slice_like(draw: Drawing, x: Entry) -> Entry:
    like = tuple(draw.number(1, size) for size in x.shape)
    return draw.add("slice_like", x, draw.parameter(like, 2))


def take(draw: Drawing, x: Entry) -> Entry:
    """Indices beyond the range count as its ends."""
    shape = tuple(draw.number(1, 4) for _ in range(draw.number(1, 2)))
    indices = draw.constant(draw.values(shape, -3, x.shape[0] + 3), 16)
    if draw.chance(0.3):
        return draw.add("take", x, indices)
    axis = draw.number(0, len(x.shape) - 1)
    if len(x.shape) - 1 + len(shape) > _MOST_DIMENSIONS:
        raise Unfit("too many dimensions")
    return draw.add("take", x, indices, axis=axis)


def gather(draw: Drawing, x: Entry) -> Entry:
    axis = draw.number(0, len(x.shape) - 1)
    shape = (*x.shape[:axis], draw.number(1, 4), *x.shape[axis + 1 :])
    return draw.add("gather", x, draw.constant(draw.values(shape, -3, 40), 8), axis=axis)


def reduce(draw: Drawing, x: Entry) -> Entry:
    """Along axes from the end or all, as the official kernel reads them rightly."""
    operator = draw.pick(("sum", "max"))
    if operator == "sum":
        x = draw.narrow(x, 16)
    axes = tuple(range(draw.number(0, len(x.shape) - 1), len(x.shape)))
    return draw.add(operator, x, axis=axes if draw.chance(0.7) else (), keepdims=draw.chance(0.5))


def order(draw: Drawing, x: Entry) -> Entry:
    operator, axis = draw.pick(("sort", "argsort")), draw.number(0, len(x.shape) - 1)
    return draw.add(operator, x, axis=axis, is_ascend=draw.chance(0.5))


def pad(draw: Drawing, x: Entry) -> Entry:
    mode = draw.pick(("constant", "edge", "reflect"))
    widths = [draw.number(0, 2) for _ in range(2 * len(x.shape))]
    if mode == "reflect":
        widths = [min(width, size - 1) for width, size in zip(widths, x.shape * 2, strict=True)]
    value = draw.number(-9, 9) if mode == "constant" else 0
    return draw.add("pad", x, pad_width=tuple(widths), mode=mode, value=value)


def pool_regions(draw: Drawing, x: Entry) -> Entry:
    """Regions in the features, across their edges, turned round and far outside."""
    if len(x.shape) != 4:
        raise Unfit("no features")
    x = draw.narrow(x, draw.pick((8, 16)))
    unit, count = draw.pick((1, 4, 16)), draw.number(1, 4)
    boxes = draw.values((count, 4), -3 * unit, (max(x.shape[2:]) + 3) * unit)
    images = draw.values((count, 1), -1, x.shape[0])
    regions = draw.constant(np.concatenate([images, boxes], 1), 16)
    size = (draw.number(1, 3), draw.number(1, 3))
    if draw.chance(0.5):
        return draw.add("roi_pool", x, regions, pooled_size=size, unit=unit)
    samples, aligned = draw.number(1, 3), draw.chance(0.5)
    options = {"pooled_size": size, "unit": unit, "samples": samples, "aligned": aligned}
    return draw.add("roi_align", x, regions, **options)


def count_valid(draw: Drawing, x: Entry) -> Entry:
    """Rows above a threshold to the top; then, of six columns, without those that overlap."""
    rows = min(max(1, x.size // 6), 12)
    if x.size < 6:
        raise Unfit("no row")
    x = draw.narrow(x, 16)
    flat = draw.add("reshape", x, shape=(1, x.size))
    flat = draw.add("strided_slice", flat, begin=(0, 0), end=(1, 6 * rows), stride=(1, 1))
    table = draw.add("reshape", flat, shape=(1, rows, 6))
    threshold = draw.number(0, table.limit)
    counts = draw.add("get_valid_counts", table, score_threshold=threshold)
    kept = Entry(counts.node, 1, table.shape, table.precision)
    draw.made.append(("get_valid_counts", kept))
    if draw.chance(0.3):
        return kept
    return draw.add(
        "non_max_suppression",
        kept,
        counts,
        iou_threshold=draw.number(1, 100),
        force_suppress=draw.chance(0.5),
        max_output_size=draw.pick((-1, 1, 3)),
        top_k=-1,
    )
