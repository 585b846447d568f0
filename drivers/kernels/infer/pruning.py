"""Leaves out of a plan what nobody reads, and numbers its tensors anew."""

from __future__ import annotations

from dataclasses import replace

from drivers.kernels.infer.layers import (
    Add,
    Concatenate,
    Convolution,
    General,
    Layer,
    Plan,
    Residual,
)


def sources_of(layer: Layer) -> tuple[int, ...]:
    """Tensors that a layer reads."""
    match layer:
        case General(step):
            return step.inputs
        case Concatenate(sources):
            return sources
        case Add() | Convolution() if layer.residual is not None:
            return (layer.source, layer.residual.other)
    assert not isinstance(layer, General | Concatenate)
    return (layer.source,)


def targets_of(layer: Layer) -> tuple[int, ...]:
    """Tensors that a layer writes."""
    return layer.step.outputs if isinstance(layer, General) else (layer.target,)


def drop_unread(plan: Plan) -> Plan:
    """The same heads with fewer layers and tensors. Tensor 0 stays."""
    wanted = {0, *plan.heads}
    kept: list[Layer] = []
    for layer in reversed(plan.layers):
        if wanted.intersection(targets_of(layer)):
            kept.append(layer)
            wanted.update(sources_of(layer), targets_of(layer))
    order = sorted(wanted)
    numbers = {tensor: number for number, tensor in enumerate(order)}
    return Plan(
        tensors=tuple(plan.tensors[tensor] for tensor in order),
        constants={numbers[t]: words for t, words in plan.constants.items() if t in numbers},
        layers=tuple(_renumber(layer, numbers) for layer in reversed(kept)),
        heads=tuple(numbers[head] for head in plan.heads),
    )


def _renumber(layer: Layer, numbers: dict[int, int]) -> Layer:
    match layer:
        case General(step):
            inputs = tuple(numbers[each] for each in step.inputs)
            outputs = tuple(numbers[each] for each in step.outputs)
            return General(replace(step, inputs=inputs, outputs=outputs))
        case Concatenate(sources, target):
            return Concatenate(tuple(numbers[each] for each in sources), numbers[target])
    layer = replace(layer, source=numbers[layer.source], target=numbers[layer.target])
    if isinstance(layer, Add | Convolution) and layer.residual is not None:
        return replace(layer, residual=_renumber_residual(layer.residual, numbers))
    return layer


def _renumber_residual(residual: Residual, numbers: dict[int, int]) -> Residual:
    return replace(residual, other=numbers[residual.other])
