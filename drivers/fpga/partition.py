"""A program cut into what the core computes and what the host does between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.fpga.layers import Layer, read_geometry
from drivers.fpga.requantisation import Requantisation
from drivers.program import Program, Step

LAYERS = frozenset({"conv2d", "dense"})
#: Steps that hand their first input's values on, none of them larger.
_KEEPING = frozenset({
    *("relu", "max_pool2d", "flatten", "reshape", "transpose", "expand_dims", "squeeze"),
    *("strided_slice", "slice_like", "repeat", "tile", "upsampling", "take", "max"),
})  # fmt: skip
_BOUNDED = frozenset({"cvm_clip", "cvm_right_shift"})
WIDEST_BITS = 8
PACKED_BITS = 6

HostStage = tuple[Step, ...]
Stage = Layer | HostStage


def partition(program: Program) -> tuple[Stage, ...]:
    """The stages in order. Each `Layer` takes the element-wise steps after it along where nobody
    else reads what they replace."""
    reads = Counter(number for step in program.steps for number in step.inputs)
    reads.update(program.heads)
    bits = value_bits(program)
    stages: list[Stage] = []
    waiting: list[Step] = []
    taken: set[int] = set()
    for index, step in enumerate(program.steps):
        if index in taken:
            continue
        layer = _layer(program, index, bits, reads, taken)
        if layer is None:
            waiting.append(step)
            continue
        if waiting:
            stages.append(tuple(waiting))
            waiting = []
        stages.append(layer)
    return (*stages, tuple(waiting)) if waiting else tuple(stages)


def value_bits(program: Program) -> tuple[int, ...]:
    """Bits that each value surely fits: what is declared, or what its step shows."""
    bits = list(program.precisions)
    for step in program.steps:
        known = bits[step.inputs[0]] if step.op in _KEEPING and step.inputs else 32
        declared = step.attributes.get("precision")
        if step.op in _BOUNDED and isinstance(declared, int):
            known = declared
        for number in step.outputs:
            bits[number] = min(bits[number], known)
    return tuple(bits)


def host_program(program: Program, steps: Sequence[Step], wanted: Sequence[int]) -> Program:
    """A program of its own for some steps: its input is `live_inputs`, flat and one after
    another (one number where there are none); its heads are ``wanted``."""
    inputs = live_inputs(program, steps)
    numbers: dict[int, int] = {}
    shapes: list[tuple[int, ...]] = []
    precisions: list[int] = []
    made: list[Step] = []

    def add(shape: tuple[int, ...], precision: int) -> int:
        shapes.append(shape)
        precisions.append(precision)
        return len(shapes) - 1

    sizes = [_size(program.shapes[number]) for number in inputs]
    add((max(1, sum(sizes)),), 32)
    parameters = {
        add(program.shapes[number], program.precisions[number]): program.parameters[number]
        for number in _parameters(program, steps, numbers)
    }
    for number, end in zip(inputs, np.cumsum(sizes), strict=True):
        size = _size(program.shapes[number])
        part = add((size,), 32)
        begin = {"begin": (int(end) - size,), "end": (int(end),), "stride": (1,)}
        made.append(Step("strided_slice", (0,), (part,), begin))
        numbers[number] = add(program.shapes[number], program.precisions[number])
        made.append(Step("reshape", (part,), (numbers[number],), {}))
    for step in steps:
        for number in step.outputs:
            numbers[number] = add(program.shapes[number], program.precisions[number])
        taken = tuple(numbers[number] for number in step.inputs)
        outputs = tuple(numbers[number] for number in step.outputs)
        made.append(Step(step.op, taken, outputs, step.attributes))
    heads = tuple(numbers[number] for number in wanted)
    return Program(tuple(shapes), tuple(precisions), parameters, tuple(made), heads)


def live_inputs(program: Program, steps: Sequence[Step]) -> tuple[int, ...]:
    """Values that the steps read and do not make, parameters aside; ascending."""
    made = {number for step in steps for number in step.outputs}
    read = {number for step in steps for number in step.inputs}
    return tuple(sorted(read - made - set(program.parameters)))


def live_outputs(program: Program, stages: Sequence[Stage], index: int) -> tuple[int, ...]:
    """Values of a host stage that later stages or the heads read."""
    stage = stages[index]
    assert not isinstance(stage, Layer)
    later = {number for after in stages[index + 1 :] for number in _reads(after)}
    made = {number for step in stage for number in step.outputs}
    return tuple(sorted(made & (later | set(program.heads))))


def _reads(stage: Stage) -> tuple[int, ...]:
    if isinstance(stage, Layer):
        return (stage.source,)
    return tuple(number for step in stage for number in step.inputs)


def _parameters(program: Program, steps: Sequence[Step], numbers: dict[int, int]) -> list[int]:
    """The parameters that the steps read; their new numbers, from 1 on, are noted."""
    read = {number for step in steps for number in step.inputs}
    own = sorted(read & set(program.parameters))
    numbers.update({number: place for place, number in enumerate(own, start=1)})
    return own


def _layer(
    program: Program, index: int, bits: Sequence[int], reads: Counter[int], taken: set[int]
) -> Layer | None:
    """The layer that begins at a step, if the core can compute it."""
    step = program.steps[index]
    if step.op not in LAYERS or bits[step.inputs[0]] > WIDEST_BITS or _is_uneven(step):
        return None
    weights, bias = _constants(program, step)
    if weights is None or bias is None or not _fits_bytes(weights):
        return None
    fused, requantisation = _fuse(program, index, reads, taken)
    geometry = read_geometry(program, step)
    if geometry.output.rows < 1 or geometry.output.columns < 1:
        return None
    return Layer(
        step=step,
        fused=fused,
        geometry=geometry,
        weights=weights.astype(np.int8).reshape(len(weights), weights.shape[1], *_kernel(weights)),
        bias=bias,
        requantisation=requantisation,
        packs_features=bits[step.inputs[0]] <= PACKED_BITS,
    )


def _is_uneven(step: Step) -> bool:
    """Padded by other numbers before than after."""
    padding = step.attributes.get("padding", 0)
    return isinstance(padding, tuple) and len(padding) > 2


def _kernel(weights: NDArray[np.int32]) -> tuple[int, ...]:
    return weights.shape[2:] or (1, 1)


def _constants(
    program: Program, step: Step
) -> tuple[NDArray[np.int32] | None, NDArray[np.int32] | None]:
    weights = program.parameters.get(step.inputs[1])
    if weights is None:
        return None, None
    if len(step.inputs) < 3:
        return weights, np.zeros(len(weights), np.int32)
    return weights, program.parameters.get(step.inputs[2])


def _fits_bytes(weights: NDArray[np.int32]) -> bool:
    return bool(weights.size and weights.min() >= -128 and weights.max() <= 127)


def _fuse(
    program: Program, index: int, reads: Counter[int], taken: set[int]
) -> tuple[tuple[Step, ...], Requantisation]:
    """The element-wise steps after a layer that the core does in passing."""
    fused: list[Step] = []
    requantisation = Requantisation()
    value = program.steps[index].outputs[0]
    for place in range(index + 1, len(program.steps)):
        step = program.steps[place]
        if value not in step.inputs:
            continue
        together = requantisation.then(step) if reads[value] == 1 else None
        if together is None:
            break
        requantisation, value = together, step.outputs[0]
        fused.append(step)
        taken.add(place)
    return tuple(fused), requantisation


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
