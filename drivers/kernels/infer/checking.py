"""Whether a program is one at all: numbers, shapes and order. What an operator asks of its
operands beyond that is checked where it is bound."""

from __future__ import annotations

from math import prod

from drivers.errors import BadArgument
from drivers.program import Program, Step

_MOST_DIMENSIONS, _MOST_SIZE, _MOST_ELEMENTS = 6, 1 << 24, 1 << 30
_BROADCASTS = ("add", "sub", "mul", "max", "div", "greater")
#: The fewest and most inputs of steps that are read by their inputs' places.
_INPUTS = {
    **dict.fromkeys((f"broadcast_{kind}" for kind in _BROADCASTS), (2, 2)),
    **dict.fromkeys(("elemwise_add", "elemwise_sub", "scaled_add"), (2, 2)),
    **dict.fromkeys(("requantise", "table", "cvm_lut"), (2, 2)),
    **dict.fromkeys(("conv2d", "dense"), (2, 3)),
    "where": (3, 3),
}


def check_program(program: Program) -> None:
    """Raises `BadArgument` naming what is wrong."""
    count = len(program.shapes)
    _expect(count > 0, "a program needs an input")
    _expect(len(program.precisions) == count, "every value needs one precision")
    for number, (shape, precision) in enumerate(
        zip(program.shapes, program.precisions, strict=True)
    ):
        _check_shape(number, shape)
        _expect(1 <= precision <= 32, f"value {number} has {precision} bits, not 1 to 32")
    made = {0}
    for number, constant in program.parameters.items():
        _expect(0 < number < count, f"parameter {number} is no value or is the input")
        shape = program.shapes[number]
        _expect(constant.shape == shape, f"parameter {number} does not have shape {shape}")
        made.add(number)
    for place, step in enumerate(program.steps):
        _check_step(place, step, made, count)
    _expect(bool(program.heads), "a program needs a head")
    for head in program.heads:
        _expect(head in made, f"head {head} is never computed")


def _check_shape(number: int, shape: tuple[int, ...]) -> None:
    _expect(
        1 <= len(shape) <= _MOST_DIMENSIONS
        and all(1 <= size <= _MOST_SIZE for size in shape)
        and prod(shape) <= _MOST_ELEMENTS,
        f"value {number} has shape {shape}; at most 6 dimensions of 1 to 2^24, 2^30 in all",
    )


def _check_step(place: int, step: Step, made: set[int], count: int) -> None:
    fewest, most = _INPUTS.get(step.op, (1, len(step.inputs)))
    is_right = fewest <= len(step.inputs) <= most and len(step.outputs) > 0
    _expect(is_right, f"step {place}, {step.op}, has a wrong number of operands")
    for number in step.inputs:
        _expect(number in made, f"step {place}, {step.op}, reads value {number} before it is made")
    for number in step.outputs:
        is_new = 0 <= number < count and number not in made
        _expect(is_new, f"step {place}, {step.op}, makes value {number} anew")
        made.add(number)


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise BadArgument(message)
