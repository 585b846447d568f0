"""The 37 operators of the CVM, by name."""

from __future__ import annotations

from node.spec.cvm.operators import (
    broadcast,
    detection,
    elementwise,
    neural,
    reduction,
    selection,
    shaping,
)
from node.spec.cvm.operators.operator import Operator

_GROUPS = (elementwise, broadcast, reduction, shaping, selection, neural, detection)

OPERATORS: dict[str, Operator] = {
    operator.name: operator for group in _GROUPS for operator in group.OPERATORS
}
