"""dense and batch_matmul of bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension.bounds import (
    DATA_PRECISION,
    prove_products,
    prove_word,
)
from node.spec.cvm.operators.extension.convolution import add_bias, count_inputs
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    Wide,
    limit_of,
    precision_of,
    pure,
    widen,
)


def _dense_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    source, units = shapes[0], attributes.integer("units")
    require(len(source) == 2, f"dense needs 2 dimensions, not {source}")
    weight = (units, source[1])
    require(shapes[1] == weight, f"dense: weight is {shapes[1]}, not {weight}")
    if attributes.flag("use_bias"):
        require(shapes[2] == (units,), f"dense: bias is {shapes[2]}, not {(units,)}")
    return [(source[0], units)]


def _dense_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    bias = attributes.flag("use_bias")
    return prove_products(attributes, precisions, inputs[0][1], bias=bias)


def _dense_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return inputs[0][1] * 3 + attributes.flag("use_bias")


def _dense(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    return add_bias(attributes, inputs, widen(inputs[0]) @ widen(inputs[1]).T)


def _matmul_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    left, right = shapes
    require(
        2 <= len(left) == len(right) and left[:-2] == right[:-2],
        f"batch_matmul: {left} and {right} differ before their last two dimensions",
    )
    rows, terms, columns = *left[-2:], right[-2 if attributes.flag("transpose_b") else -1]
    expected = (columns, terms) if attributes.flag("transpose_b") else (terms, columns)
    require(right[-2:] == expected, f"batch_matmul: {left} and {right} do not fit")
    return [(*left[:-2], rows, columns)]


def _matmul_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    for precision in precisions:
        require(
            precision <= DATA_PRECISION,
            f"batch_matmul: precision {precision} exceeds {DATA_PRECISION}",
        )
    limit = limit_of(precisions[0]) * limit_of(precisions[1]) * inputs[0][-1]
    return [precision_of(prove_word(attributes, limit))]


def _matmul_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return inputs[0][-1] * 3


def _matmul(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    left, right = map(widen, inputs)
    return left @ (np.swapaxes(right, -1, -2) if attributes.flag("transpose_b") else right)


OPERATORS = (
    Operator(
        "dense",
        _dense_shape,
        _dense_precision,
        pure(_dense),
        {
            "units": Field(Kind.INTEGER, minimum=1),
            "use_bias": Field(Kind.FLAG, default=1),
        },
        count_inputs,
        cost=_dense_cost,
    ),
    Operator(
        "batch_matmul",
        _matmul_shape,
        _matmul_precision,
        pure(_matmul),
        {"transpose_b": Field(Kind.FLAG, default=0)},
        input_count=2,
        cost=_matmul_cost,
    ),
)
