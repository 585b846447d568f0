"""The operators of the extension form (docs/operators.md), by name.

A symbol of version farm_1.0.0 has these beside the 37; where both have a name, these are meant.
"""

from __future__ import annotations

from node.spec.cvm.operators.extension import (
    convolution,
    pooling,
    products,
    scaling,
    table,
)
from node.spec.cvm.operators.operator import Operator

_GROUPS = (scaling, products, convolution, pooling, table)

EXTENSION: dict[str, Operator] = {
    operator.name: operator for group in _GROUPS for operator in group.OPERATORS
}
