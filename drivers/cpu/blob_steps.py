"""General steps as a packed plan keeps them; ``native/plan_general.cpp`` reads them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from drivers.program import Step


def step_words(step: Step, values: dict[int, int]) -> Iterable[int]:
    """int32 words of a step; ``values`` has the place of each tensor among the blob's values."""
    yield from _name_words(step.op)
    for numbers in (step.inputs, step.outputs):
        yield len(numbers)
        yield from (values[number] for number in numbers)
    yield len(step.attributes)
    for name, attribute in step.attributes.items():
        yield from _name_words(name)
        numbers = attribute if isinstance(attribute, tuple) else (int(attribute),)
        yield len(numbers)
        yield from numbers


def _name_words(name: str) -> Iterable[int]:
    """The count of characters, and they, 4 to a word."""
    content = name.encode()
    yield len(content)
    yield from np.frombuffer(content.ljust(-(-len(content) // 4) * 4, b"\0"), "<i4").tolist()
