"""Make one function of all that depends on single elements of one value.

So ``x · sigmoid(x)``, a GELU written with Erf, or a hard swish of Clip and Mul becomes one table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from node.mrt.layers import (
    Add,
    Affine,
    Clip,
    Elementwise,
    Function,
    Layer,
    Multiply,
    Rectify,
)
from node.mrt.network import Network
from node.mrt.passes.identity_removal import remove_unread


@dataclass(frozen=True)
class _Unary:
    """A value as a function of another."""

    base: str
    function: Elementwise
    label: str


def merge_functions(network: Network) -> Network:
    unary: dict[str, _Unary] = {}
    merged: list[Layer] = []
    for layer in network.layers:
        found = _merge_operands(layer, unary) or _merge_chain(layer, unary, network)
        merged.append(found or layer)
        own = _as_unary(merged[-1])
        if own is not None:
            unary[layer.name] = own
    return remove_unread(network.with_layers(merged))


def _as_unary(layer: Layer) -> _Unary | None:
    function = _function_of(layer)
    return None if function is None else _Unary(layer.inputs[0], function, _label(layer))


def _label(layer: Layer) -> str:
    return layer.label if isinstance(layer, Function) else layer.kind


def _function_of(layer: Layer) -> Elementwise | None:
    if isinstance(layer, Function):
        return layer.function
    if isinstance(layer, Rectify):
        return lambda x: np.maximum(x, 0)
    if isinstance(layer, Clip):
        low, high = layer.low, layer.high
        return lambda x: np.clip(x, low, high)
    if isinstance(layer, Affine) and layer.is_scalar:
        scale, offset = float(layer.scale.reshape(())), float(layer.offset.reshape(()))
        return lambda x: x * scale + offset
    return None


def _bases(name: str, unary: dict[str, _Unary]) -> Iterator[_Unary]:
    """A value as a function of itself, of what it depends on, and so on."""
    current = _Unary(name, lambda x: x, "")
    yield current
    while current.base in unary:
        inner = unary[current.base]
        label = "·".join(filter(None, (inner.label, current.label)))
        current = _Unary(inner.base, _compose(current.function, inner.function), label)
        yield current


def _compose(outer: Elementwise, inner: Elementwise) -> Elementwise:
    return lambda x: outer(inner(x))


def _merge_operands(layer: Layer, unary: dict[str, _Unary]) -> Function | None:
    """A sum or product of two functions of one value."""
    if not isinstance(layer, Add | Multiply):
        return None
    first, second = (list(_bases(name, unary)) for name in layer.inputs)
    for one in first:
        for other in second:
            if one.base == other.base:
                combined = _combine(layer, one.function, other.function)
                label = one.label or other.label or layer.kind
                return Function(layer.name, (one.base,), layer.shape, combined, label)
    return None


def _combine(layer: Add | Multiply, one: Elementwise, other: Elementwise) -> Elementwise:
    if isinstance(layer, Multiply):
        return lambda x: one(x) * other(x)
    own, theirs = layer.signs
    return lambda x: own * one(x) + theirs * other(x)


def _merge_chain(layer: Layer, unary: dict[str, _Unary], network: Network) -> Function | None:
    """A function of a function that nothing else reads."""
    outer = _as_unary(layer)
    inner = unary.get(layer.inputs[0]) if layer.inputs else None
    if outer is None or inner is None or network.sole_reader(layer.inputs[0]) is None:
        return None
    if not isinstance(layer, Function) and not _is_table(inner):
        return None
    label = "·".join((inner.label, outer.label))
    return Function(
        layer.name, (inner.base,), layer.shape, _compose(outer.function, inner.function), label
    )


def _is_table(inner: _Unary) -> bool:
    """Whether it needs a table in any case (a ReLU or a factor does not)."""
    return not set(inner.label.split("·")) <= {Rectify.kind, Clip.kind, Affine.kind}
