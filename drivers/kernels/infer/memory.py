"""Where a plan's tensors lie: parts within their concatenations, and buffers used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.kernels.infer.layers import Concatenate, Plan
from drivers.kernels.infer.pruning import sources_of, targets_of


@dataclass(frozen=True)
class Part:
    """A tensor that lies within another: in its pixels, from ``channel`` on."""

    whole: int
    channel: int


@dataclass(frozen=True)
class Lifetime:
    """From the layer that writes first to the one that reads last; the input is written before
    layer 0, and heads are read after the last layer."""

    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last

    def joined(self, other: Lifetime) -> Lifetime:
        return Lifetime(min(self.first, other.first), max(self.last, other.last))


def nest_parts(plan: Plan, step: int = 1) -> dict[int, Part]:
    """Parts of concatenations that their makers may write straight into the whole, however deep.
    A part of two wholes lies in the last one; into the other it must be copied, as must one that
    would begin at a channel that is no multiple of ``step``."""
    parts: dict[int, Part] = {}
    for layer in reversed(plan.layers):
        if not isinstance(layer, Concatenate):
            continue
        home = parts.get(layer.target, Part(layer.target, 0))
        channel = home.channel
        for source in layer.sources:
            tensor = plan.tensors[source]
            fits = tensor.zero == plan.tensors[layer.target].zero and channel % step == 0
            if fits and source not in parts and source != home.whole:
                parts[source] = Part(home.whole, channel)
            channel += tensor.shape[1]
    return parts


def find_lifetimes(plan: Plan, parts: Mapping[int, Part]) -> dict[int, Lifetime]:
    """Of every buffer: tensors but constants, with what lies within them."""
    found: dict[int, Lifetime] = {0: Lifetime(-1, -1)}
    for place, layer in enumerate(plan.layers):
        for tensor in (*targets_of(layer), *sources_of(layer)):
            if tensor not in plan.constants:
                buffer = parts[tensor].whole if tensor in parts else tensor
                here = Lifetime(place, place)
                found[buffer] = found.get(buffer, here).joined(here)
    end = Lifetime(len(plan.layers), len(plan.layers))
    for head in plan.heads:
        if head not in plan.constants:
            found[head] = found[head].joined(end)
    return found


@dataclass(frozen=True)
class Arena:
    """Byte at which each buffer begins, and bytes of all."""

    places: Mapping[int, int]
    total_bytes: int


def arrange(sizes: Mapping[int, int], lifetimes: Mapping[int, Lifetime], alignment: int) -> Arena:
    """Buffers that live at once apart from each other, the largest first, each as low as it
    goes."""
    placed: list[tuple[int, int, Lifetime]] = []
    places: dict[int, int] = {}
    for buffer in sorted(sizes, key=lambda each: (-sizes[each], each)):
        size = -(-sizes[buffer] // alignment) * alignment
        taken = [(a, b) for a, b, alive in placed if alive.meets(lifetimes[buffer])]
        start = _find_gap(sorted(taken), size)
        places[buffer] = start
        placed.append((start, start + size, lifetimes[buffer]))
    return Arena(places, max((end for _, end, _ in placed), default=0))


def _find_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    start = 0
    for first, end in taken:
        if first - start >= size:
            break
        start = max(start, end)
    return start
