"""The 37 operators of the CVM, by name, and those of the extension form."""

from __future__ import annotations

from collections.abc import Mapping

from node.spec.cvm.operators import (
    broadcast,
    detection,
    elementwise,
    neural,
    reduction,
    selection,
    shaping,
)
from node.spec.cvm.operators.extension import EXTENSION
from node.spec.cvm.operators.operator import Operator

_GROUPS = (elementwise, broadcast, reduction, shaping, selection, neural, detection)

OPERATORS: dict[str, Operator] = {
    operator.name: operator for group in _GROUPS for operator in group.OPERATORS
}

_EXTENDED = {**OPERATORS, **EXTENSION}


def operators_of(*, extended: bool) -> Mapping[str, Operator]:
    """The operators of Cortex's versions, or of the extension form."""
    return _EXTENDED if extended else OPERATORS
