"""Which steps of a program treat each element for itself, and what they do to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drivers.errors import BadArgument
from drivers.kernels.infer.intervals import Interval, Wide
from drivers.kernels.infer.primitives import Chain, Clip, Map, Multiply, Offset, Shift
from drivers.program import Program, Step

#: Ranges up to this size are bounded by trying every value.
_TRIED = 1 << 16


@dataclass(frozen=True)
class Elementwise:
    """A step that does ``chain`` to each element of ``source``."""

    source: int
    chain: Chain


def read_elementwise(program: Program, step: Step) -> Elementwise | None:
    """None for a step that does more than one constant function an element."""
    if reader := _UNARY.get(step.op):
        return Elementwise(step.inputs[0], reader(step))
    if with_constant := _WITH_CONSTANT.get(step.op):
        return with_constant(program, step)
    return None


def number_of(step: Step, name: str, default: int | None = None) -> int:
    """An attribute that is one number. Raises `BadArgument` for any other."""
    value = step.attributes.get(name, default)
    if isinstance(value, int):
        return int(value)
    raise BadArgument(f"{step.op} needs the number {name}, not {value!r}")


def shift_and_clip(step: Step) -> tuple[Shift, Clip]:
    """``clip((x + 2^(shift−1)) >> shift, low, high)``, as extension operators end. Raises
    `BadArgument`."""
    bits = _bits(step, "shift")
    return Shift(_half_of(bits), bits), _clip(step, "low", "high")


def _bits(step: Step, name: str, default: int | None = None, least: int = 0) -> int:
    bits = number_of(step, name, default)
    if not least <= bits <= 32:
        raise BadArgument(f"{step.op}: {name} must be {least} to 32, not {bits}")
    return bits


def _clip(step: Step, low: str, high: str) -> Clip:
    clip = Clip(number_of(step, low), number_of(step, high))
    if clip.low > clip.high:
        raise BadArgument(f"{step.op}: {low} is above {high}")
    return clip


def _half_of(shift: int) -> int:
    """What makes a shift round half up."""
    return 1 << (shift - 1) if shift else 0


def _symmetric(step: Step) -> Clip:
    bound = int(2 ** (_bits(step, "precision", least=1) - 1)) - 1
    return Clip(-bound, bound)


def _read_right_shift(step: Step) -> Chain:
    """With the official kernel's three ways around it (cortex-protocol §5)."""
    precision, bits = _bits(step, "precision", least=1), _bits(step, "shift_bit", least=1)
    if precision == 1:
        return (Clip(0, 0),)
    if bits >= 31:
        return (Shift(0, 31),)
    shift = Shift(_half_of(bits), bits)
    return (shift,) if precision + bits >= 32 else (shift, _symmetric(step))


def _count_bits(x: Wide) -> Wide:
    bits: Wide = np.frexp(np.abs(x).astype(np.float64))[1].astype(np.int64)
    return np.maximum(bits, 1)


def _bound_magnitude(x: Interval) -> Interval:
    low = 0 if x.lowest <= 0 <= x.highest else min(abs(x.lowest), abs(x.highest))
    return Interval.of(low, max(abs(x.lowest), abs(x.highest)))


_ABSOLUTE = Map(np.abs, _bound_magnitude)
_PRECISION = Map(_count_bits, lambda x: Interval.of(1, 32))

_UNARY: dict[str, Callable[[Step], Chain]] = {
    "relu": lambda step: (Clip(low=0),),
    "clip": lambda step: (_clip(step, "a_min", "a_max"),),
    "cvm_clip": lambda step: (_symmetric(step),),
    "cvm_right_shift": _read_right_shift,
    "negative": lambda step: (Multiply(np.array([-1], np.int64)),),
    "abs": lambda step: (_ABSOLUTE,),
    "cvm_precision": lambda step: (_PRECISION,),
}


def _per_channel(program: Program, constant: int, axis: int) -> Wide | None:
    """A constant as one number, or one a channel of the values it meets; None where it varies
    along another axis. ``axis`` is that of the channels counted in its own shape."""
    values = program.parameters[constant].astype(np.int64)
    if values.size == 1:
        return values.reshape(1)
    if 0 <= axis < values.ndim and values.shape[axis] == values.size:
        return values.reshape(-1)
    return None


def _constant_operand(program: Program, step: Step) -> tuple[int, int, bool] | None:
    """Variable, constant, and whether the variable stands first."""
    first, second = step.inputs
    if second in program.parameters and first not in program.parameters:
        return first, second, True
    if first in program.parameters and second not in program.parameters:
        return second, first, False
    return None


def _read_binary(program: Program, step: Step) -> Elementwise | None:
    operands = _constant_operand(program, step)
    if operands is None:
        return None
    variable, constant, in_order = operands
    shape = program.shapes[step.outputs[0]]
    if program.shapes[variable] != shape:
        return None
    axis = 1 - (len(shape) - program.parameters[constant].ndim)
    values = _per_channel(program, constant, axis)
    if values is None or values.size not in (1, *shape[1:2]):
        return None
    chain = _combine(step.op, values, in_order)
    return None if chain is None else Elementwise(variable, chain)


def _combine(op: str, values: Wide, in_order: bool) -> Chain | None:
    kind = op.removeprefix("broadcast_").removeprefix("elemwise_")
    if kind == "add":
        return (Offset(values),)
    if kind == "sub":
        return (Offset(-values),) if in_order else (Multiply(-np.ones_like(values)), Offset(values))
    if kind == "mul":
        return (Multiply(values),)
    if kind == "max" and values.size == 1:
        return (Clip(low=int(values[0])),)
    return None


def _read_table(program: Program, step: Step) -> Elementwise | None:
    """The index is clamped to the table; ``zero`` is the entry of value 0, which ``cvm_lut`` has
    at its beginning."""
    source, constant = step.inputs
    if constant not in program.parameters or source in program.parameters:
        return None
    zero = number_of(step, "zero", 128) if step.op == "table" else 0
    table = program.parameters[constant].astype(np.int64)
    return Elementwise(source, (_map_through(table, -zero),))


def _map_through(table: Wide, first: int) -> Map:
    """x becomes ``table[x − first]``, the index clamped."""
    table = table.reshape(-1)

    def look_up(x: Wide) -> Wide:
        found: Wide = table[np.clip(x - first, 0, table.size - 1)]
        return found

    def bound(x: Interval) -> Interval:
        taken = table
        if x.highest - x.lowest < _TRIED:
            taken = look_up(np.arange(x.lowest, x.highest + 1))
        return Interval.of(int(taken.min()), int(taken.max()))

    return Map(look_up, bound)


def _read_requantise(program: Program, step: Step) -> Elementwise | None:
    source, constant = step.inputs
    if constant not in program.parameters or source in program.parameters:
        return None
    axis = number_of(step, "axis", 1) % len(program.shapes[source])
    multiplier = program.parameters[constant].astype(np.int64).reshape(-1)
    channels = program.shapes[source][1:2] if axis == 1 else ()
    if multiplier.size not in (1, *channels):
        return None
    pre_shift = Shift(0, _bits(step, "pre_shift", 0))
    return Elementwise(source, (pre_shift, Multiply(multiplier), *shift_and_clip(step)))


_WITH_CONSTANT: dict[str, Callable[[Program, Step], Elementwise | None]] = {
    **dict.fromkeys(("broadcast_add", "broadcast_sub", "broadcast_mul"), _read_binary),
    **dict.fromkeys(("broadcast_max", "elemwise_add", "elemwise_sub"), _read_binary),
    **dict.fromkeys(("cvm_lut", "table"), _read_table),
    "requantise": _read_requantise,
}
