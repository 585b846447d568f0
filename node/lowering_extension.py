"""Attributes of the extension form's operators (docs/operators.md) as a program has them: numbers
only, and each one in full. A padding has two numbers a dimension only where its ends differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from node.spec.cvm.graph import Step
from node.spec.cvm.operators.extension.arrangement import PAD_MODES
from node.spec.cvm.operators.extension.sampling import LINEAR
from node.spec.cvm.operators.extension.window import numbers, paddings
from node.spec.cvm.operators.operator import Shape

Numbers = dict[str, int | Shape]


def complete_extension(step: Step, shape: Shape) -> Numbers:
    """What replaces or joins a step's attributes; ``shape`` is that of its first input."""
    complete = _COMPLETIONS.get(step.operator.name)
    return complete(step, shape) if complete else {}


def _complete_window(step: Step, shape: Shape) -> Numbers:
    count = len(shape) - 2
    before, after = paddings(step.attributes, count)
    made: Numbers = {
        "strides": numbers(step.attributes, "strides", count, 1, 1),
        "padding": before if before == after else before + after,
    }
    if "dilation" in step.attributes.values:
        made["dilation"] = numbers(step.attributes, "dilation", count, 1, 1)
    if "output_padding" in step.attributes.values:
        made["output_padding"] = numbers(step.attributes, "output_padding", count, 0, 0)
    return made


def _complete_sampling(step: Step, shape: Shape) -> Numbers:
    return {"linear": int(step.attributes.text("method") == LINEAR)}


def _complete_pad(step: Step, shape: Shape) -> Numbers:
    return {"mode": PAD_MODES.index(step.attributes.text("mode"))}


_WINDOWS = ("conv", "conv_transpose", "max_pool", "avg_pool")

_COMPLETIONS: Mapping[str, Callable[[Step, Shape], Numbers]] = {
    **{f"{name}{count}d": _complete_window for name in _WINDOWS for count in (1, 2, 3)},
    "upsample": _complete_sampling,
    "resize": _complete_sampling,
    "pad": _complete_pad,
}
