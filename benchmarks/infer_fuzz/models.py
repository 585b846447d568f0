"""Random models with random inputs, and what the reference answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.infer_fuzz import elements, layers, layouts, windows
from benchmarks.infer_fuzz.drawing import Drawing, Unfit, Words
from drivers.errors import NotSupported
from drivers.program import Program
from node.lowering import lower
from node.spec.cvm import load
from node.spec.cvm.errors import CvmLoadError
from node.spec.cvm.execution import compute_heads
from node.spec.cvm.writer import Entry

OPERATORS_DRAWN = 40
INPUTS = 3

Template = Callable[[Drawing, Entry], Entry]

_BOTH: tuple[Template, ...] = (
    *(windows.convolve, windows.convolve, windows.pool, windows.multiply_dense, windows.upsample),
    *(layers.block, layers.block, layers.block, layers.residual),
    *(elements.apply_unary, elements.clip, elements.shift_right, elements.combine),
    *(elements.combine, elements.add_alike, elements.look_up, elements.choose),
    *(layouts.reshape, layouts.change_rank, layouts.transpose, layouts.concatenate),
    *(layouts.repeat, layouts.slice_strided, layouts.slice_like, layouts.take, layouts.reduce),
    layouts.count_valid,
)
_EXTENDED: tuple[Template, ...] = (
    *(windows.convolve_transposed, windows.multiply_batches),
    *(elements.requantise, elements.add_scaled, elements.read_table),
    *(elements.soften, elements.normalise),
    *(layouts.gather, layouts.order, layouts.pad, layouts.pool_regions),
)


@dataclass(frozen=True)
class Model:
    """One model. ``expected[i][h]`` is the reference's answer to input i at head h, of the
    operator ``operators[h]``; every operator's output is a head, or only those not read again."""

    seed: tuple[int, ...]
    program: Program
    operators: tuple[str, ...]
    inputs: tuple[Words, ...]
    expected: tuple[tuple[Words, ...], ...]

    def keep_heads(self, kept: Sequence[int]) -> Model:
        """The same with only these heads."""
        return replace(
            self,
            program=replace(self.program, heads=tuple(self.program.heads[h] for h in kept)),
            operators=tuple(self.operators[h] for h in kept),
            expected=tuple(tuple(answers[h] for h in kept) for answers in self.expected),
        )


def draw_model(seed: tuple[int, ...], operators: int = OPERATORS_DRAWN) -> Model:
    """The model of a seed. One that a program cannot say is drawn again, smaller."""
    attempt = 0
    while True:
        try:
            return _draw(seed, attempt, max(operators >> attempt, 1))
        except NotSupported:
            attempt += 1


def _draw(seed: tuple[int, ...], attempt: int, operators: int) -> Model:
    random = np.random.default_rng((*seed, attempt, 0))
    draw = Drawing((*seed, attempt, 1), extended=bool(random.random() < 0.6))
    source = draw.writer.add_input(_draw_shape(draw), draw.pick((8, 8, 8, 6, 2, 16)))
    templates = _BOTH + (_EXTENDED if draw.extended else ())
    while len(draw.made) < operators:
        try:
            draw.pick(templates)(draw, _pick_source(draw, source))
        except (Unfit, CvmLoadError):
            continue
    graph = load(*draw.writer.finish([entry for _, entry in draw.made]), extended=draw.extended)
    inputs = tuple(draw.values(source.shape, -source.limit, source.limit) for _ in range(INPUTS))
    program = lower(graph)
    model = Model(
        seed,
        program,
        tuple(name for name, _ in draw.made),
        inputs,
        tuple(tuple(compute_heads(graph, values)) for values in inputs),
    )
    return model if draw.chance(0.4) else model.keep_heads(_find_unread(program))


def draw_models(seed: int, block: int, count: int) -> Iterator[Model]:
    """The models of a block of a campaign."""
    for index in range(count):
        yield draw_model((seed, block, index))


def _draw_shape(draw: Drawing) -> tuple[int, ...]:
    """Images mostly; rows; in the extension form lines and volumes too."""
    batch, channels = draw.pick((1, 1, 1, 2, 3)), draw.size()
    kind = draw.random.random()
    if kind < 0.12:
        return (batch, channels * draw.pick((1, 7)))
    if draw.extended and kind < 0.26:
        return (batch, channels, draw.number(1, 17))
    if draw.extended and kind < 0.36:
        return (batch, min(channels, 9), *(draw.number(1, 4) for _ in range(3)))
    return (batch, channels, draw.pick((1, 2, 3, 5, 7, 8, 14)), draw.pick((1, 2, 3, 5, 7, 13, 16)))


def _pick_source(draw: Drawing, source: Entry) -> Entry:
    """The input, one of the last values, or any."""
    values = [entry for _, entry in draw.made]
    if not values or draw.chance(0.25):
        return source
    return draw.pick(values[-3:] if draw.chance(0.6) else values)


def _find_unread(program: Program) -> list[int]:
    read = {number for step in program.steps for number in step.inputs}
    return [index for index, number in enumerate(program.heads) if number not in read]
