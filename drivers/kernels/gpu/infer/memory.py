"""Where tensors lie on a GPU: bytes by pixels of padded channels, words as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from drivers.kernels.infer.geometry import as_planes
from drivers.kernels.infer.layers import Form, Plan, Tensor
from drivers.kernels.infer.memory import Part, arrange, find_lifetimes, nest_parts

ALIGNMENT = 256
#: A chunk of channels that is read at once; fewer channels than `NARROW` lie four to a pixel.
CHUNK, NARROW = 16, 4


@dataclass(frozen=True)
class View:
    """Of a tensor in the arena. ``stride``: bytes from pixel to pixel; 0 for WORDS."""

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


def lay_out(plan: Plan) -> Memory:
    """Places of all tensors but constants."""
    parts = nest_parts(plan, CHUNK)
    lifetimes = find_lifetimes(plan, parts)
    arena = arrange({b: _bytes(plan.tensors[b]) for b in lifetimes}, lifetimes, ALIGNMENT)
    places = {buffer: Part(buffer, 0) for buffer in lifetimes} | parts
    views = {
        tensor: View(arena.places[part.whole], _stride(plan.tensors[part.whole]), part.channel)
        for tensor, part in places.items()
    }
    return Memory(views, arena.total_bytes)


def padded(size: int, step: int) -> int:
    """The next multiple of ``step``."""
    return -(-size // step) * step


def _bytes(tensor: Tensor) -> int:
    if tensor.form is Form.WORDS:
        return 4 * math.prod(tensor.shape)
    n, _, h, w = as_planes(tensor.shape)
    return n * h * w * _stride(tensor)


def _stride(tensor: Tensor) -> int:
    if tensor.form is Form.WORDS:
        return 0
    channels = as_planes(tensor.shape)[1]
    return NARROW if channels <= NARROW else padded(channels, CHUNK)
