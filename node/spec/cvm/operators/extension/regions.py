"""roi_pool and roi_align: a grid of numbers from each region of a feature map.

A region is (image, left, top, right, bottom); its coordinates are in 1/``unit`` of a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension.bounds import divide_half_up, prove_wide
from node.spec.cvm.operators.extension.window import numbers
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    Wide,
    limit_of,
    pure,
    same_precision,
    widen,
)

_UNIT_LIMIT, _SAMPLES_LIMIT, _REGION = 1 << 16, 16, 5
#: Regions, cells of a map along an axis, bins along an axis.
_REGIONS_LIMIT, _SIDE_LIMIT, _BINS_LIMIT = 4096, 4096, 64
_NOTHING = -(1 << 62)
#: Samples that are interpolated at a time.
_HELD = 1 << 20
_FIELDS = {"pooled_size": Field(Kind.SHAPE), "unit": Field(Kind.INTEGER, default=1)}
_ALIGN_FIELDS = {
    **_FIELDS,
    "samples": Field(Kind.INTEGER, default=2),
    "aligned": Field(Kind.FLAG, default=0),
}


def _shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    source, regions = shapes
    name = attributes.operator
    require(len(source) == 4, f"{name} needs 4 dimensions, not {source}")
    require(len(regions) == 2 and regions[1] == _REGION, f"{name}: {regions} is not (n, 5)")
    require(len(attributes.shape("pooled_size")) == 2, f"{name}.pooled_size must have 2 numbers")
    attributes.ranged("unit", 1, _UNIT_LIMIT)
    bins = numbers(attributes, "pooled_size", 2, 1, 1)
    for what, count, most in (
        ("regions", regions[0], _REGIONS_LIMIT),
        ("cells along an axis", max(source[2:]), _SIDE_LIMIT),
        ("bins along an axis", max(bins), _BINS_LIMIT),
    ):
        require(count <= most, f"{name}: {count} {what} exceed {most}")
    return [(regions[0], source[1], *bins)]


def _pick_image(source: Wide, region: Sequence[int]) -> Wide:
    """(c, h, w) of a region; an image that is not there is the nearest one."""
    image: Wide = source[min(max(region[0], 0), len(source) - 1)]
    return image


# --- roi_pool


def _bins(begin: int, end: int, bins: int, size: int) -> list[slice]:
    """Cells of each bin along an axis, within the map."""
    length = max(end - begin + 1, 1)
    firsts = (begin + index * length // bins for index in range(bins))
    lasts = (begin - (-(index + 1) * length // bins) for index in range(bins))
    return [
        slice(min(max(first, 0), size), min(max(last, 0), size))
        for first, last in zip(firsts, lasts, strict=True)
    ]


def _largest(array: Wide, axis: int, bins: Sequence[slice]) -> Wide:
    """Of the cells of each bin along an axis; `_NOTHING` where there are none."""
    parts = (array[(slice(None),) * axis + (cells,)] for cells in bins)
    return np.stack([part.max(axis=axis, initial=_NOTHING) for part in parts], axis)


def _pool_region(attributes: Attributes, image: Wide, region: Sequence[int], out: Wide) -> None:
    unit = attributes.integer("unit")
    left, top, right, bottom = ((2 * v + unit) // (2 * unit) for v in region[1:])
    rows = _largest(image, 1, _bins(top, bottom, out.shape[1], image.shape[1]))
    largest = _largest(rows, 2, _bins(left, right, out.shape[2], image.shape[2]))
    out[...] = np.where(largest == _NOTHING, 0, largest)


def _pool_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    """A bin may cover the whole map."""
    return prod(inputs[0][2:])


# --- roi_align


def _align_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    samples = attributes.ranged("samples", 1, _SAMPLES_LIMIT)
    divisors = [_divisor(attributes, bins) for bins in outputs[0][2:]]
    prove_wide(
        attributes, (2 * limit_of(precisions[0]) + 1) * prod(divisors) * samples * samples * 2
    )
    prove_wide(attributes, 4 * (limit_of(precisions[1]) + 1) * max(divisors))
    return [precisions[0]]


def _divisor(attributes: Attributes, bins: int) -> int:
    """Positions of samples along an axis are whole multiples of 1 / this of a cell."""
    return 2 * attributes.integer("samples") * bins * attributes.integer("unit")


def _positions(attributes: Attributes, begin: int, end: int, bins: int) -> list[int]:
    """Of all samples along an axis, times `_divisor`."""
    samples, unit = attributes.integer("samples"), attributes.integer("unit")
    length = max(end - begin, 0 if attributes.flag("aligned") else unit)
    start = 2 * samples * bins * begin - attributes.flag("aligned") * samples * bins * unit
    return [start + length * (2 * index + 1) for index in range(bins * samples)]


class _Samples:
    """All samples along an axis: two neighbouring cells each, and their weights."""

    def __init__(self, attributes: Attributes, begin: int, end: int, bins: int, size: int) -> None:
        divisor = _divisor(attributes, bins)
        places = np.array(_positions(attributes, begin, end, bins), np.int64)
        inside = (-divisor <= places) & (places <= size * divisor)
        places = np.clip(places, 0, (size - 1) * divisor)
        base = places // divisor
        self.cells = (base, np.minimum(base + 1, size - 1))
        part = places - base * divisor
        self.weights = (np.where(inside, divisor - part, 0), np.where(inside, part, 0))


def _align_region(attributes: Attributes, image: Wide, region: Sequence[int], out: Wide) -> None:
    _, left, top, right, bottom = region
    rows, columns = out.shape[1:]
    samples = attributes.integer("samples")
    down = _Samples(attributes, top, bottom, rows, image.shape[1])
    across = _Samples(attributes, left, right, columns, image.shape[2])
    divisor = _divisor(attributes, rows) * _divisor(attributes, columns) * samples**2
    pieces = min(len(image), -(-len(image) * rows * columns * samples**2 // _HELD))
    for part, target in zip(
        np.array_split(image, pieces), np.array_split(out, pieces), strict=True
    ):
        total = sum(
            part[:, low[:, None], near] * np.outer(weight, other)
            for low, weight in zip(down.cells, down.weights, strict=True)
            for near, other in zip(across.cells, across.weights, strict=True)
        )
        grid = np.asarray(total).reshape(-1, rows, samples, columns, samples)
        target[...] = divide_half_up(grid.sum(axis=(2, 4)), divisor)


def _align_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return attributes.ranged("samples", 1, _SAMPLES_LIMIT) ** 2 * 12


_Fill = Callable[[Attributes, Wide, Sequence[int], Wide], None]


def _by_region(fill: _Fill) -> Callable[[Attributes, Sequence[Array]], Wide]:
    def compute(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
        (shape,) = _shape(attributes, [array.shape for array in inputs])
        result, source = np.zeros(shape, np.int64), widen(inputs[0])
        for region, out in zip(inputs[1].tolist(), result, strict=True):
            fill(attributes, _pick_image(source, region), region, out)
        return result

    return compute


OPERATORS = (
    Operator(
        "roi_pool",
        _shape,
        same_precision,
        pure(_by_region(_pool_region)),
        _FIELDS,
        input_count=2,
        cost=_pool_cost,
    ),
    Operator(
        "roi_align",
        _shape,
        _align_precision,
        pure(_by_region(_align_region)),
        _ALIGN_FIELDS,
        input_count=2,
        cost=_align_cost,
    ),
)
