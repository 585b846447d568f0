"""Bounds of every value of a program, from its real weights: the proof that nothing overflows.

The input is taken to be clamped to its declared precision, which `drivers.base.InferSession`
asks of its caller. An operator that is not known here is bounded by the precision that the
program declares for its result; whoever made the program has proved that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BadArgument, NotSupported
from drivers.kernels.infer.elementwise import number_of, read_elementwise, shift_and_clip
from drivers.kernels.infer.geometry import padding_of
from drivers.kernels.infer.intervals import Interval, Wide
from drivers.program import Program, Step

Transfer = Callable[[Program, Step, Sequence[Interval]], Interval]


def prove(program: Program) -> tuple[Interval, ...]:
    """Bounds of every value, by value number.

    Raises:
        NotSupported: a value may pass 32 bits; the message names the step and the bound.
    """
    values: dict[int, Interval] = {0: Interval.of_precision(program.precisions[0])}
    for number, constant in program.parameters.items():
        values[number] = _bound_constant(constant)
    for place, step in enumerate(program.steps):
        inputs = [values[number] for number in step.inputs]
        for index, number in enumerate(step.outputs):
            values[number] = _bound_output(program, place, step, inputs, index)
    return tuple(values.get(number, Interval.of(0, 0)) for number in range(len(program.shapes)))


def _bound_output(
    program: Program, place: int, step: Step, inputs: Sequence[Interval], index: int
) -> Interval:
    declared = Interval.of_precision(program.precisions[step.outputs[index]])
    if index or len(step.outputs) > 1:
        return declared
    if elementwise := read_elementwise(program, step):
        bound = inputs[step.inputs.index(elementwise.source)]
        for primitive in elementwise.chain:
            bound = primitive.bound(bound)
            _expect_words(place, step, bound)
        return bound
    transfer = _TRANSFERS.get(step.op)
    bound = transfer(program, step, inputs) if transfer else declared
    _expect_words(place, step, bound)
    return bound


def _expect_words(place: int, step: Step, bound: Interval) -> None:
    if not bound.fits_words:
        raise NotSupported(
            f"step {place}, {step.op}: values from {bound.lowest} to {bound.highest} may occur, "
            "which 32 bits cannot hold; requantise before it"
        )


def _bound_constant(constant: NDArray[np.int32]) -> Interval:
    return Interval.of(int(constant.min()), int(constant.max())) if constant.size else _ZERO


_ZERO = Interval.of(0, 0)
#: Sums beyond it might pass the 64 bits that bounds are computed in.
_MOST_SUM = 1 << 60
_UNBOUNDED = Interval.of(-_MOST_SUM, _MOST_SUM)


def bound_sums(
    weight: NDArray[np.integer], bias: NDArray[np.integer] | None, x: Interval, is_padded: bool
) -> Interval:
    """Of Σ w·x + bias for each output (axis 0 of ``weight``): what is positive meets the highest
    x, what is negative the lowest. Padding is 0."""
    rows = weight.reshape(weight.shape[0], -1)
    total = rows.sum(axis=1, dtype=np.int64)
    magnitude = np.abs(rows, dtype=np.int32).view(np.uint32).sum(axis=1, dtype=np.int64)
    positive, negative = (magnitude + total) // 2, (total - magnitude) // 2
    low, high = x.lowest, x.highest
    if is_padded:
        low, high = min(low, 0), max(high, 0)
    if int(magnitude.max(initial=0)) * max(abs(low), abs(high)) > _MOST_SUM:
        return _UNBOUNDED
    offset = 0 if bias is None else bias.astype(np.int64)
    return Interval(
        positive * low + negative * high + offset, positive * high + negative * low + offset
    )


def _bound_weighted(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    weight = program.parameters.get(step.inputs[1])
    bias = program.parameters.get(step.inputs[2]) if len(step.inputs) > 2 else None
    if weight is None or (len(step.inputs) > 2 and bias is None):
        return _bound_unknown_weights(program, step, inputs)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise BadArgument(f"{step.op} needs one bias an output, {weight.shape[0]}")
    is_padded = step.op != "dense" and any(padding_of(step))
    return bound_sums(weight, bias, inputs[0], is_padded)


def _bound_unknown_weights(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    terms = prod(program.shapes[step.inputs[1]][1:])
    product = inputs[0].over_all().product(inputs[1].over_all()).union(_ZERO)
    if max(-product.lowest, product.highest) * terms > _MOST_SUM:
        return _UNBOUNDED
    sums = product.multiply(np.array([terms], np.int64))
    return sums.add(inputs[2].over_all()) if len(inputs) > 2 else sums


def _aligned(program: Program, step: Step, index: int, bound: Interval) -> Interval:
    """The bounds of an operand by channels of the result, if it has the same channels."""
    one, result = program.shapes[step.inputs[index]], program.shapes[step.outputs[0]]
    same = len(one) == len(result) and one[1:2] == result[1:2]
    return bound if same else bound.over_all()


def _operands(program: Program, step: Step, inputs: Sequence[Interval]) -> list[Interval]:
    return [_aligned(program, step, index, bound) for index, bound in enumerate(inputs)]


def _bound_add(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    left, right = _operands(program, step, inputs)
    return left.add(right)


def _bound_sub(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    left, right = _operands(program, step, inputs)
    return left.add(Interval(-right.high, -right.low))


def _bound_mul(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    left, right = _operands(program, step, inputs)
    return left.product(right)


def _bound_max(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    left, right = _operands(program, step, inputs)
    return Interval(np.maximum(left.low, right.low), np.maximum(left.high, right.high))


def _bound_div(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    """Towards zero, by a whole number: never further from zero; by −1 the sign turns."""
    largest = max(abs(inputs[0].lowest), abs(inputs[0].highest))
    return Interval.of(-largest, largest)


def _bound_greater(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    return Interval.of(0, 1)


def _bound_scaled_add(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    from_own, from_their = (
        bound.multiply(np.array([number_of(step, name)], np.int64))
        for bound, name in zip(_operands(program, step, inputs), ("own", "theirs"), strict=True)
    )
    shift, clip = shift_and_clip(step)
    total = from_own.add(from_their)
    rounded = total.add(Interval.of(shift.half, shift.half))
    return clip.bound(shift.bound(total)) if rounded.fits_words else rounded


def _bound_sum(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    source, result = program.shapes[step.inputs[0]], program.shapes[step.outputs[0]]
    terms = np.array([prod(source) // prod(result)], np.int64)
    keeps = len(source) > 1 and len(result) > 1 and source[1] == result[1]
    return (inputs[0] if keeps else inputs[0].over_all()).multiply(terms)


def _bound_largest(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    """The maximum over all axes starts at 0."""
    return Interval.of(inputs[0].lowest, max(0, inputs[0].highest))


def _keep(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    """The same values, moved; channels stay where the shape's second axis does."""
    source, result = program.shapes[step.inputs[0]], program.shapes[step.outputs[0]]
    same = len(source) > 1 and source[:2] == result[:2] and prod(source) == prod(result)
    return inputs[0] if same else inputs[0].over_all()


def _bound_pool(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    return inputs[0]


def _bound_average(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    """Between the elements, and 0 where there is padding."""
    return inputs[0].union(_ZERO)


def _mix(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    return inputs[0].over_all()


def _bound_where(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    return inputs[1].union(inputs[2])


def _join(program: Program, step: Step, inputs: Sequence[Interval]) -> Interval:
    if step.attributes.get("axis") != 1:
        bound = inputs[0].over_all()
        for other in inputs[1:]:
            bound = bound.union(other)
        return bound
    parts = [
        _spread(bound, program.shapes[number][1])
        for bound, number in zip(inputs, step.inputs, strict=True)
    ]
    low, high = zip(*parts, strict=True)
    return Interval(np.concatenate(low), np.concatenate(high))


def _spread(bound: Interval, channels: int) -> tuple[Wide, Wide]:
    return np.broadcast_to(bound.low, (channels,)), np.broadcast_to(bound.high, (channels,))


_TRANSFERS: dict[str, Transfer] = {
    **dict.fromkeys(("conv2d", "dense"), _bound_weighted),
    **dict.fromkeys(("broadcast_add", "elemwise_add"), _bound_add),
    **dict.fromkeys(("broadcast_sub", "elemwise_sub"), _bound_sub),
    "broadcast_mul": _bound_mul,
    "broadcast_max": _bound_max,
    "broadcast_div": _bound_div,
    "broadcast_greater": _bound_greater,
    "scaled_add": _bound_scaled_add,
    "sum": _bound_sum,
    "max": _bound_largest,
    **dict.fromkeys((f"max_pool{d}d" for d in (1, 2, 3)), _bound_pool),
    **dict.fromkeys((f"avg_pool{d}d" for d in (1, 2, 3)), _bound_average),
    **dict.fromkeys(("flatten", "reshape", "expand_dims", "squeeze"), _keep),
    **dict.fromkeys(("transpose", "repeat", "tile", "strided_slice", "slice_like"), _mix),
    **dict.fromkeys(("upsampling", "take"), _mix),
    "where": _bound_where,
    "concatenate": _join,
}
