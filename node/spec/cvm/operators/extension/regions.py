"""roi_pool and roi_align: a grid of numbers from each region of a feature map.

A region is (image, left, top, right, bottom); its coordinates are in 1/``unit`` of a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension.bounds import divide_half_up, limit_of, prove_wide
from node.spec.cvm.operators.extension.window import numbers
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    Wide,
    pure,
    same_precision,
    widen,
)

_UNIT_LIMIT, _SAMPLES_LIMIT, _REGION = 1 << 16, 16, 5
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
    return [(regions[0], source[1], *numbers(attributes, "pooled_size", 2, 1, 1))]


def _pick_image(source: Wide, region: Sequence[int]) -> Wide:
    """(c, h, w) of a region; an image that is not there is the nearest one."""
    image: Wide = source[min(max(region[0], 0), len(source) - 1)]
    return image


# --- roi_pool


def _bin(begin: int, end: int, index: int, bins: int, size: int) -> slice:
    """Cells of one bin along an axis, within the map."""
    length = max(end - begin + 1, 1)
    first = begin + index * length // bins
    last = begin - (-(index + 1) * length // bins)
    return slice(min(max(first, 0), size), min(max(last, 0), size))


def _pool_region(attributes: Attributes, image: Wide, region: Sequence[int], out: Wide) -> None:
    unit = attributes.integer("unit")
    left, top, right, bottom = ((2 * v + unit) // (2 * unit) for v in region[1:])
    rows, columns = out.shape[1:]
    for i, j in product(range(rows), range(columns)):
        cells = image[
            :,
            _bin(top, bottom, i, rows, image.shape[1]),
            _bin(left, right, j, columns, image.shape[2]),
        ]
        out[:, i, j] = cells.max(axis=(1, 2)) if cells.size else 0


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


def _weigh(attributes: Attributes, begin: int, end: int, bins: int, size: int) -> Wide:
    """(bins, size): how much each cell counts in each bin, times divisor × samples."""
    divisor, samples = _divisor(attributes, bins), attributes.integer("samples")
    weights = np.zeros((bins, size), np.int64)
    for index, place in enumerate(_positions(attributes, begin, end, bins)):
        if -divisor <= place <= size * divisor:
            base = min(max(place, 0) // divisor, size - 1)
            part = max(place, 0) - base * divisor if base < size - 1 else 0
            weights[index // samples, base] += divisor - part
            weights[index // samples, min(base + 1, size - 1)] += part
    return weights


def _align_region(attributes: Attributes, image: Wide, region: Sequence[int], out: Wide) -> None:
    _, left, top, right, bottom = region
    rows, columns = out.shape[1:]
    down = _weigh(attributes, top, bottom, rows, image.shape[1])
    across = _weigh(attributes, left, right, columns, image.shape[2])
    divisor = _divisor(attributes, rows) * _divisor(attributes, columns)
    total = down @ image @ across.T
    out[...] = divide_half_up(total, divisor * attributes.integer("samples") ** 2)


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
