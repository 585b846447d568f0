"""From a CVM model to a device's program: the only file of the node that knows devices.

A program has values, not memory. A model whose result depends on the official runtime's memory
(storage shared in the wrong order, rows left unwritten) or on values beyond their precision
cannot be lowered; the reference still runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.errors import NotSupported, WrongAnswer
from drivers.program import Attribute, Program, Step
from node.lowering_extension import complete_extension
from node.spec.cvm import Graph
from node.spec.cvm.graph import Step as GraphStep
from node.spec.cvm.operators.extension import EXTENSION
from node.spec.cvm.operators.operator import limit_of
from node.spec.cvm.operators.reduction import walks_straight
from node.spec.cvm.operators.shaping import slice_ranges
from node.spec.cvm.output import encode_output

_WORD_BYTES = 4


def lower(graph: Graph) -> Program:
    """The program whose heads are, to the bit, those of the reference.

    Raises:
        NotSupported: the model depends on what a program cannot say; the message names the step.
    """
    _check_storage(graph)
    for step in graph.steps:
        _check_step(graph, step)
    numbers = _number_values(graph)
    order = sorted(numbers, key=numbers.__getitem__)
    return Program(
        shapes=tuple(graph.shapes[entry] for entry in order),
        precisions=tuple(graph.precisions[entry] for entry in order),
        parameters={numbers[entry]: array for entry, array in graph.parameters.items()},
        steps=tuple(_lower_step(graph, step, numbers) for step in graph.steps),
        heads=tuple(numbers[head] for head in graph.heads),
    )


def encode_heads(graph: Graph, answer: bytes) -> bytes:
    """The kernel-form answer from a device's.

    Raises:
        CvmRunError: the heads do not fit the model's postprocessing.
        WrongAnswer: it has another length than the heads.
    """
    return encode_output(graph, split_heads(graph, answer))


def split_heads(graph: Graph, answer: bytes) -> list[NDArray[np.int32]]:
    """A device's answer as each head's int32 tensor, which it holds one after another.

    Raises:
        WrongAnswer: it has another length than the heads.
    """
    if len(answer) != _WORD_BYTES * sum(map(_size, graph.output_shapes)):
        raise WrongAnswer(f"a device answered {len(answer)} bytes, not the model's heads")
    values = np.frombuffer(answer, "<i4")
    heads: list[NDArray[np.int32]] = []
    start = 0
    for shape in graph.output_shapes:
        heads.append(values[start : start + _size(shape)].reshape(shape).astype(np.int32))
        start += _size(shape)
    return heads


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _number_values(graph: Graph) -> dict[int, int]:
    """Value numbers by entry: the input, then parameters, then outputs as they come."""
    entries = [graph.input_entry, *sorted(graph.parameters)]
    entries += [entry for step in graph.steps for entry in step.outputs]
    return {entry: number for number, entry in enumerate(entries)}


def _lower_step(graph: Graph, step: GraphStep, numbers: Mapping[int, int]) -> Step:
    return Step(
        op=step.operator.name,
        inputs=tuple(numbers[entry] for entry in step.inputs),
        outputs=tuple(numbers[entry] for entry in step.outputs),
        attributes=_lower_attributes(graph, step),
    )


def _lower_attributes(graph: Graph, step: GraphStep) -> dict[str, Attribute]:
    """Numbers only; axes counted from the front, pairs and slices in full."""
    attributes: dict[str, Attribute] = {
        name: value
        for name, value in step.attributes.values.items()
        if isinstance(value, int | tuple)
    }
    shape = graph.shapes[step.inputs[0]]
    axis = attributes.get("axis")
    if isinstance(axis, int) and step.operator.name != "expand_dims":
        attributes["axis"] = axis % len(shape)
    elif isinstance(axis, tuple):
        attributes["axis"] = tuple(sorted(number % len(shape) for number in axis))
    if EXTENSION.get(step.operator.name) is step.operator:
        return attributes | complete_extension(step, shape)
    return attributes | _COMPLETIONS.get(step.operator.name, _complete_nothing)(step, shape)


_Complete = Callable[[GraphStep, tuple[int, ...]], dict[str, Attribute]]


def _complete_nothing(step: GraphStep, shape: tuple[int, ...]) -> dict[str, Attribute]:
    return {}


def _complete_pool(step: GraphStep, shape: tuple[int, ...]) -> dict[str, Attribute]:
    padding = step.attributes.shape("padding")
    return {"padding": (padding[0], padding[-1])}


def _complete_slice(step: GraphStep, shape: tuple[int, ...]) -> dict[str, Attribute]:
    taken = slice_ranges(step.attributes, shape)
    return {
        "begin": tuple(each.start for each in taken),
        "end": tuple(each.stop for each in taken),
        "stride": tuple(each.step for each in taken),
    }


def _complete_transpose(step: GraphStep, shape: tuple[int, ...]) -> dict[str, Attribute]:
    axes = step.attributes.shape("axes") or tuple(reversed(range(len(shape))))
    return {"axes": tuple(axis % len(shape) for axis in axes)}


_COMPLETIONS: dict[str, _Complete] = {
    "max_pool2d": _complete_pool,
    "strided_slice": _complete_slice,
    "transpose": _complete_transpose,
}


def _check_storage(graph: Graph) -> None:
    """No storage may be overwritten while its value is still wanted."""
    holder: dict[int, int] = {}
    for entry in (graph.input_entry, *graph.parameters):
        _take_storage(graph, holder, entry, "the inputs")
    for step in graph.steps:
        for entry in step.inputs:
            _expect_held(graph, holder, entry, step.name)
        for entry in step.outputs:
            holder[graph.storage_ids[entry]] = entry
    for entry in graph.heads:
        _expect_held(graph, holder, entry, "the heads")


def _take_storage(graph: Graph, holder: dict[int, int], entry: int, name: str) -> None:
    if graph.storage_ids[entry] in holder:
        raise NotSupported(f"{name} share a storage; only the reference can run this model")
    holder[graph.storage_ids[entry]] = entry


def _expect_held(graph: Graph, holder: Mapping[int, int], entry: int, name: str) -> None:
    if holder[graph.storage_ids[entry]] != entry:
        raise NotSupported(f"{name}: a value was overwritten; only the reference can run this")


def _check_step(graph: Graph, step: GraphStep) -> None:
    reason = _CHECKS.get(step.operator.name, _check_nothing)(graph, step)
    if reason:
        raise NotSupported(f"{step.name}: {reason}; only the reference can run this model")


def _check_nothing(graph: Graph, step: GraphStep) -> str:
    return ""


def _check_where(graph: Graph, step: GraphStep) -> str:
    condition, first, second = step.inputs
    if graph.shapes[condition] != graph.shapes[first]:
        return "where by rows leaves memory unwritten"
    wider = max(graph.precisions[first], graph.precisions[second])
    return "where passes its precision" if wider > graph.precisions[condition] else ""


def _check_right_shift(graph: Graph, step: GraphStep) -> str:
    precision, shift = step.attributes.integer("precision"), step.attributes.integer("shift_bit")
    largest = limit_of(graph.precisions[step.inputs[0]])
    rounded = ((largest >> (shift - 1)) + 1) >> 1
    if precision + shift >= 32 and shift < 31 and rounded > limit_of(precision):
        return "the shift passes its precision"
    return "the shift wraps" if shift == 1 and largest == (1 << 31) - 1 else ""


def _check_greater(graph: Graph, step: GraphStep) -> str:
    return (
        "a comparison of 1-bit values passes its precision"
        if (graph.precisions[step.inputs[0]] < 2)
        else ""
    )


def _check_left_shift(graph: Graph, step: GraphStep) -> str:
    return "cvm_left_shift never runs"


def _check_reduction(graph: Graph, step: GraphStep) -> str:
    if walks_straight(step.attributes, graph.shapes[step.inputs[0]]):
        return ""
    return "the official kernel reads other terms than the axes name"


def _check_rows(graph: Graph, step: GraphStep) -> str:
    """Rows that are left out become −1."""
    narrow = graph.precisions[step.inputs[0]] < 2
    return "an empty row of 1-bit values passes its precision" if narrow else ""


def _check_suppression(graph: Graph, step: GraphStep) -> str:
    if reason := _check_rows(graph, step):
        return reason
    if graph.shapes[step.inputs[0]][0] > 1:
        return "several batches may leave memory unwritten"
    reads = sum(each.inputs.count(step.inputs[0]) for each in graph.steps)
    if step.attributes.integer("top_k") > 0 and (reads > 1 or step.inputs[0] in graph.heads):
        return "top_k erases rows that are still wanted"
    return ""


_CHECKS: dict[str, Callable[[Graph, GraphStep], str]] = {
    "where": _check_where,
    "cvm_right_shift": _check_right_shift,
    "cvm_left_shift": _check_left_shift,
    "broadcast_greater": _check_greater,
    "sum": _check_reduction,
    "max": _check_reduction,
    "get_valid_counts": _check_rows,
    "non_max_suppression": _check_suppression,
}
