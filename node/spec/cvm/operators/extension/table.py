"""table: a function of a byte, as 256 numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension.bounds import DATA_PRECISION
from node.spec.cvm.operators.operator import Array, Operator, Shape, Shapes, pure, widen

_ENTRIES = 256


def _table_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    require(shapes[1] == (_ENTRIES,), f"table: the table is {shapes[1]}, not {(_ENTRIES,)}")
    return [shapes[0]]


def _table_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    attributes.ranged("zero", 0, _ENTRIES - 1)
    require(
        precisions[0] <= DATA_PRECISION,
        f"table: precision {precisions[0]} exceeds {DATA_PRECISION}",
    )
    return [precisions[1]]


def _look_up(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    """Values beyond the table take its nearest end."""
    return np.take(inputs[1], widen(inputs[0]) + attributes.integer("zero"), mode="clip")


OPERATORS = (
    Operator(
        "table",
        _table_shape,
        _table_precision,
        pure(_look_up),
        {"zero": Field(Kind.INTEGER, default=128)},
        input_count=2,
    ),
)
