"""Where tensors lie: places in the arena by lifetime, and parts of a concatenation within it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from drivers.kernels.gpu.arena import Arena
from drivers.kernels.infer.layers import (
    Add,
    Concatenate,
    Convolution,
    Form,
    General,
    Layer,
    Plan,
    Tensor,
)

ALIGNMENT = 256
#: A chunk of channels that is read at once; fewer channels than `NARROW` lie four to a pixel.
CHUNK, NARROW = 16, 4
LIMIT_BYTES = 1 << 48

Planes = tuple[int, int, int, int]


def planes_of(shape: tuple[int, ...]) -> Planes:
    """(n, c, h, w) of a tensor of fewer dimensions too."""
    n, c, h, w = (*shape, 1, 1, 1, 1)[:4]
    return n, c, h, w


@dataclass(frozen=True)
class View:
    """Of a tensor in the arena. ``stride``: bytes from pixel to pixel (BYTES)."""

    offset: int
    stride: int
    channel: int = 0
    """At which channel of the pixels it begins."""

    @property
    def is_narrow(self) -> bool:
        return self.stride == NARROW

    @property
    def is_aligned(self) -> bool:
        """Whether eight channels can be moved at once."""
        return self.stride % 8 == 0 and self.channel % 8 == 0


@dataclass(frozen=True)
class Memory:
    views: dict[int, View]
    arena_bytes: int


def lay_out(plan: Plan, first: int) -> Memory:
    """Places of all tensors but constants, from byte ``first`` of the arena on."""
    hosts = _hosts(plan)
    ends = _ends(plan, hosts)
    arena, offsets = Arena(LIMIT_BYTES), dict[int, int]()
    if first:
        arena = arena.allocate(_aligned(first))[0]  # type: ignore[index]
    for number in (0, *plan.constants):
        hosts.setdefault(number, (number, 0))
    arena = _take(plan, arena, offsets, 0)
    for index, layer in enumerate(plan.layers):
        for tensor in targets_of(layer):
            if (host := hosts[tensor][0]) not in offsets:
                arena = _take(plan, arena, offsets, host)
        for host, end in ends.items():
            if end == index:
                begin = offsets[host]
                arena = arena.release(begin, begin + _bytes(plan.tensors[host]))
    views = {
        number: View(offsets[host], _stride(plan.tensors[host]), channel)
        for number, (host, channel) in hosts.items()
        if host in offsets
    }
    return Memory(views, _aligned(arena.peak))


def targets_of(layer: Layer) -> tuple[int, ...]:
    return layer.step.outputs if isinstance(layer, General) else (layer.target,)


def sources_of(layer: Layer) -> tuple[int, ...]:
    match layer:
        case General(step):
            return step.inputs
        case Concatenate(sources, _):
            return sources
        case Convolution(residual=residual) | Add(residual=residual) if residual is not None:
            return (layer.source, residual.other)
    return (layer.source,)


def _hosts(plan: Plan) -> dict[int, tuple[int, int]]:
    """The tensor in whose memory each tensor lies, and at which channel."""
    hosts = {tensor: (tensor, 0) for layer in plan.layers for tensor in targets_of(layer)}
    joined = {layer.target for layer in plan.layers if isinstance(layer, Concatenate)}
    times = Counter(
        source
        for layer in plan.layers
        if isinstance(layer, Concatenate)
        for source in layer.sources
    )
    for layer in plan.layers:
        if not isinstance(layer, Concatenate):
            continue
        channel, zero = 0, plan.tensors[layer.target].zero
        for source in layer.sources:
            tensor = plan.tensors[source]
            is_free = times[source] == 1 and source not in joined and source in hosts
            if is_free and channel % CHUNK == 0 and tensor.zero == zero:
                hosts[source] = (layer.target, channel)
            channel += planes_of(tensor.shape)[1]
    return hosts


def _ends(plan: Plan, hosts: dict[int, tuple[int, int]]) -> dict[int, int]:
    """The last layer that reads each piece of memory; that of its making if none does."""
    ends: dict[int, int] = {0: -1}
    for index, layer in enumerate(plan.layers):
        for number in (*targets_of(layer), *sources_of(layer)):
            if number not in plan.constants:
                ends[hosts.get(number, (number, 0))[0]] = index
    for head in plan.heads:
        ends.pop(hosts.get(head, (head, 0))[0], None)
    return ends


def _take(plan: Plan, arena: Arena, offsets: dict[int, int], number: int) -> Arena:
    arena, offsets[number] = arena.allocate(_bytes(plan.tensors[number]))  # type: ignore[misc]
    return arena


def _bytes(tensor: Tensor) -> int:
    if tensor.form is Form.WORDS:
        return _aligned(4 * math.prod(tensor.shape))
    n, _, h, w = planes_of(tensor.shape)
    return _aligned(n * h * w * _stride(tensor))


def _stride(tensor: Tensor) -> int:
    channels = planes_of(tensor.shape)[1]
    return NARROW if channels <= NARROW else -(-channels // CHUNK) * CHUNK


def _aligned(size: int) -> int:
    return max(1, -(-size // ALIGNMENT)) * ALIGNMENT
