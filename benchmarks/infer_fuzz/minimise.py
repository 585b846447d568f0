"""A mismatch made small: the fewest steps and inputs that still show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.infer_fuzz.models import Model
from drivers.errors import BadArgument, NotSupported
from drivers.program import Program

MOST_ELEMENTS_TOLD = 256


def minimise(model: Model, head: int, differs: Callable[[Model], bool]) -> dict[str, Any]:
    """Cut away other heads, inputs and all steps that the head does not need, as long as the
    model ``differs``; then say what is left."""
    tries = [model.keep_heads([head])]
    tries.append(replace(tries[0], program=prune(tries[0].program)))
    for index in range(len(model.inputs)):
        chosen = (model.inputs[index],), (model.expected[index],)
        one = replace(model, inputs=chosen[0], expected=chosen[1]).keep_heads([head])
        tries.append(replace(one, program=prune(one.program)))
    smallest = model
    for each in tries:
        if _still_differs(each, differs):
            smallest = each
    return _describe(smallest, model.seed, model.operators[head])


def prune(program: Program) -> Program:
    """Without the steps that no head needs."""
    wanted, kept = set(program.heads), []
    for step in reversed(program.steps):
        if wanted & set(step.outputs):
            wanted.update(step.inputs)
            kept.append(step)
    return replace(program, steps=tuple(reversed(kept)))


def _still_differs(model: Model, differs: Callable[[Model], bool]) -> bool:
    try:
        return differs(model)
    except (BadArgument, NotSupported):
        return False


def _describe(model: Model, seed: tuple[int, ...], operator: str) -> dict[str, Any]:
    """Seed, steps with their shapes and, of small models, the values."""
    program = model.program
    told: dict[str, Any] = {
        "seed": list(seed),
        "operator": operator,
        "input_shape": list(program.input_shape),
        "heads": list(program.heads),
        "steps": [
            {
                "op": step.op,
                "inputs": {n: list(program.shapes[n]) for n in step.inputs},
                "precisions": [program.precisions[n] for n in step.inputs],
                "outputs": {n: list(program.shapes[n]) for n in step.outputs},
                "attributes": {k: _plain(v) for k, v in step.attributes.items()},
            }
            for step in program.steps
        ],
    }
    if model.inputs[0].size <= MOST_ELEMENTS_TOLD:
        told["input"] = model.inputs[0].ravel().tolist()
    return told


def _plain(attribute: int | tuple[int, ...]) -> int | list[int]:
    return list(attribute) if isinstance(attribute, tuple) else int(attribute)
