"""The official form: int8 values in ±127 and the 37 operators of the Cortex Virtual Machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from node.mrt.forms.builder import Builder, Value
from node.mrt.forms.common_layers import COMMON, combine, ranked, tabulate
from node.mrt.forms.cvm_arithmetic import CvmArithmetic
from node.mrt.forms.cvm_space import CVM_SPACE
from node.mrt.forms.numbers import SIGNED_LIMIT
from node.mrt.layers import Add, Function, Layer


def write_add(builder: Builder, layer: Add) -> Value:
    """Both operands times a multiplier, added, then shifted once."""
    target = builder.target(layer)
    terms = []
    for index, sign in enumerate(layer.signs):
        operand = ranked(builder, layer, index)
        terms.append((operand.entry, np.array([sign * operand.scale / target.scale])))
    return combine(builder, layer, terms, target)


def write_function(builder: Builder, layer: Function) -> Value:
    """A table by the value plus 127."""
    source, target = builder.source(layer), builder.target(layer)
    integers = np.arange(-SIGNED_LIMIT, SIGNED_LIMIT + 1, dtype=np.float64)
    entries = tabulate(layer, integers * source.scale, target)
    table = builder.parameter(f"{layer.name}_table", entries, 8)
    offset = builder.parameter(f"{layer.name}_zero", np.array([SIGNED_LIMIT]), 8)
    index = builder.writer.add("broadcast_add", f"{layer.name}_index", [source.entry, offset])
    entry = builder.writer.add("cvm_lut", layer.name, [index, table], in_dim=len(entries))
    return Value(entry, target.scale, target.low, target.high)


class CvmBuilder(CvmArithmetic):
    layers: ClassVar[Mapping[type[Layer], Callable[[Any, Any], Value]]] = {
        **COMMON,
        **CVM_SPACE,
        Add: write_add,
        Function: write_function,
    }
