"""The operators of the extension form (docs/operators.md), by name.

A symbol of version farm_1.0.0 has these beside the 37; where both have a name, these are meant.
"""

from __future__ import annotations

from node.spec.cvm.operators.extension import (
    arrangement,
    convolution,
    normalisation,
    pooling,
    products,
    regions,
    sampling,
    scaling,
    table,
    transposed,
)
from node.spec.cvm.operators.operator import Operator

_GROUPS = (
    scaling,
    products,
    convolution,
    transposed,
    pooling,
    sampling,
    arrangement,
    regions,
    table,
    normalisation,
)

EXTENSION: dict[str, Operator] = {
    operator.name: operator for group in _GROUPS for operator in group.OPERATORS
}
