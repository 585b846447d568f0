"""The common end of the kernels, as their records tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.gpu.infer.memory import View, padded
from drivers.kernels.gpu.infer.packing import Bundles, fill_channels
from drivers.kernels.gpu.infer.schedule import ARENA, pointer
from drivers.kernels.infer.geometry import as_planes
from drivers.kernels.infer.layers import Form, Plan, Rescale, Residual

#: Keeps an array among the constants; returns the pointer to it.
Keep = Callable[[NDArray[Any]], int]


def single(channels: int) -> Bundles:
    """All channels as one."""
    return Bundles(1, 1, channels, channels)


def address(view: View) -> int:
    return pointer(ARENA, view.offset + view.channel)


def fill_target(finish: Any, plan: Plan, views: dict[int, View], target: int) -> None:
    """Where the values go. ``finish`` is the field of a record."""
    tensor, view = plan.tensors[target], views[target]
    _, channels, height, width = as_planes(tensor.shape)
    finish["target"] = pointer(ARENA, view.offset)
    finish["channels"], finish["plane"] = channels, height * width
    finish["words"] = tensor.form is Form.WORDS
    if tensor.form is Form.BYTES:
        finish["target"] = address(view)
        finish["target_stride"], finish["target_zero"] = view.stride, tensor.zero
    finish["wide"] = tensor.form is Form.WORDS or view.is_aligned


def fill_rescale(finish: Any, scaling: Rescale | None, bundles: Bundles, keep: Keep) -> None:
    if scaling is None:
        return
    rows = padded(bundles.channels_out, 32)
    for name in ("pre_half", "pre_shift", "pre_low", "pre_high", "shift", "low", "high"):
        finish[name] = getattr(scaling, name)
    finish["multiplier"] = keep(fill_channels(scaling.multiplier, bundles, rows))
    finish["offset"] = keep(fill_channels(scaling.offset, bundles, rows))
    finish["rescales"] = 1


def fill_residual(
    finish: Any, plan: Plan, views: dict[int, View], residual: Residual | None
) -> None:
    if residual is None:
        return
    view = views[residual.other]
    finish["other"], finish["other_stride"] = address(view), view.stride
    finish["other_zero"] = plan.tensors[residual.other].zero
    finish["own"], finish["theirs"], finish["half"] = residual.own, residual.theirs, residual.half
    finish["residual_shift"] = residual.shift
    finish["residual_low"], finish["residual_high"] = residual.low, residual.high
    finish["adds"] = 1
    finish["wide"] = bool(finish["wide"][0]) and view.is_aligned


def fill_bias(finish: Any, bias: NDArray[np.int64], bundles: Bundles, keep: Keep) -> None:
    """``bias`` may pass 32 bits: sums are taken modulo 2^32, and end where they fit."""
    wrapped = (bias & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    finish["bias"] = keep(fill_channels(wrapped, bundles, padded(bundles.channels_out, 32)))
