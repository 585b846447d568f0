"""Steps that combine several elements or values: what each becomes as the root of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.infer.averages import divide_half_up
from drivers.kernels.infer.bounds import bound_sums
from drivers.kernels.infer.builder import bias_or_zero
from drivers.kernels.infer.elementwise import number_of, shift_and_clip
from drivers.kernels.infer.geometry import (
    Shape,
    as_planes,
    output_size,
    pair_of,
    stretch,
    window_of,
)
from drivers.kernels.infer.joints import join
from drivers.kernels.infer.layers import Window
from drivers.kernels.infer.primitives import Chain, Offset
from drivers.kernels.infer.recipes import Recipe, Totals, Weighted
from drivers.program import Step

if TYPE_CHECKING:
    from drivers.kernels.infer.fusion import Fusion

Reader = Callable[["Fusion", Step], Recipe | None]


# --- sums of products


def _read_convolution(fusion: Fusion, step: Step) -> Recipe | None:
    weight, bias = _read_weights(fusion, step)
    if weight is None or bias is None or weight.ndim != 4:
        return None
    source = fusion.stored_exactly(step.inputs[0])
    if source is None:
        return None
    groups = number_of(step, "groups", 1)
    window = window_of(step, (weight.shape[2], weight.shape[3]))
    shape = fusion.program.shapes[step.outputs[0]]
    if not _fits(fusion.program.shapes[step.inputs[0]], weight.shape, window, groups, shape):
        return None
    if (ones := _read_average(weight, bias, groups)) is not None:
        bounds = bound_sums(weight, None, fusion.builder.bounds_of(source), is_padded=True)
        return Recipe(Totals(source, window), ones, shape, bounds)
    return _weighted(fusion, step, Weighted(source, weight, bias, window, groups), shape)


def _fits(source: Shape, weight: Shape, window: Window, groups: int, target: Shape) -> bool:
    """Whether a convolution's shapes are of one."""
    if groups < 1 or weight[0] % groups or weight[1] * groups != source[1]:
        return False
    return target == (source[0], weight[0], *output_size(window, source[2:]))


def _read_dense(fusion: Fusion, step: Step) -> Recipe | None:
    """A window over the whole image, of which the program sees only the flat form."""
    weight, bias = _read_weights(fusion, step)
    if weight is None or bias is None or weight.ndim != 2:
        return None
    source = fusion.stored(step.inputs[0])
    if source is None:
        return None
    rows, columns = fusion.program.shapes[step.inputs[0]]
    shape = as_planes(fusion.builder.tensors[source].shape)
    if shape[0] != rows or prod(shape[1:]) != columns or weight.shape[1:] != (columns,):
        return None
    window = Window((shape[2], shape[3]))
    kernel = weight.reshape(weight.shape[0], *shape[1:])
    units = fusion.program.shapes[step.outputs[0]]
    if units != (rows, weight.shape[0]):
        return None
    return _weighted(fusion, step, Weighted(source, kernel, bias, window, 1), as_planes(units))


def _read_weights(
    fusion: Fusion, step: Step
) -> tuple[NDArray[np.int8] | None, NDArray[np.int32] | None]:
    """Weights of at most 8 bits, and the bias or zeros; None if they are not constants."""
    parameters = fusion.program.parameters
    weight = parameters.get(step.inputs[1])
    if weight is None or weight.size == 0 or weight.min() < -128 or weight.max() > 127:
        return None, None
    bias = parameters.get(step.inputs[2]) if len(step.inputs) > 2 else None
    if len(step.inputs) > 2 and (bias is None or bias.shape != weight.shape[:1]):
        return None, None
    return weight.astype(np.int8), bias_or_zero(bias, weight.shape[0])


def _weighted(fusion: Fusion, step: Step, root: Weighted, shape: Shape) -> Recipe:
    return Recipe(root, (), shape, fusion.bounds[step.outputs[0]])


def _read_average(weight: NDArray[np.int8], bias: NDArray[np.int32], groups: int) -> Chain | None:
    """What follows the plain sum, if a convolution is one of each channel by itself."""
    channels, of_group = weight.shape[:2]
    is_depthwise = of_group == 1 and groups == channels > 1
    if not is_depthwise or not (weight == 1).all() or weight[0].size == 1:
        return None
    return (Offset(bias.astype(np.int64)),) if bias.any() else ()


def _read_sum(fusion: Fusion, step: Step) -> Recipe | None:
    """Over all pixels of each channel."""
    shape = fusion.program.shapes[step.inputs[0]]
    if len(shape) != 4 or step.attributes.get("axis") != (2, 3):
        return None
    if number_of(step, "exclude", 0) or prod(fusion.program.shapes[step.outputs[0]]) != prod(
        shape[:2]
    ):
        return None
    source = fusion.stored_exactly(step.inputs[0])
    if source is None:
        return None
    area = np.array([prod(shape[2:])], np.int64)
    bounds = fusion.builder.bounds_of(source).multiply(area)
    return Recipe(Totals(source, Window((shape[2], shape[3]))), (), (*shape[:2], 1, 1), bounds)


def _read_average_pool(fusion: Fusion, step: Step) -> Recipe | None:
    """A sum and a division, where every window has the same count of elements."""
    source, window = fusion.stored_exactly(step.inputs[0]), _pool_window(fusion, step)
    if source is None or window is None:
        return None
    if any(window.padding) and not number_of(step, "count_include_pad", 1):
        return None
    ones = np.ones((1, *window.size), np.int8)
    bounds = bound_sums(ones, None, fusion.builder.bounds_of(source), any(window.padding))
    division = divide_half_up(prod(window.size), bounds)
    if division is None:
        return None
    shape = fusion.program.shapes[step.outputs[0]]
    return Recipe(Totals(source, window), (), shape, bounds).then(division)


# --- maxima


def _read_max_pool(fusion: Fusion, step: Step) -> Recipe | None:
    source, window = fusion.stored_exactly(step.inputs[0]), _pool_window(fusion, step)
    if source is None or window is None:
        return None
    target = fusion.builder.pool(source, fusion.program.shapes[step.outputs[0]], window)
    return fusion.builder.recipe_of(target)


def _pool_window(fusion: Fusion, step: Step) -> Window | None:
    """None unless the shapes are a pool's, and no window lies in the padding alone."""
    source, target = (fusion.program.shapes[each] for each in (step.inputs[0], step.outputs[0]))
    if len(source) != 4 or len(target) != 4:
        return None
    window = stretch(window_of(step, pair_of(step, "pool_size", 1)), source[2:], target[2:])
    meets_image = all(
        before < size and (count - 1) * stride - before < length
        for before, size, count, stride, length in zip(
            window.padding[:2], window.size, target[2:], window.strides, source[2:], strict=True
        )
    )
    fits = target == (*source[:2], *output_size(window, source[2:]))
    return window if fits and meets_image else None


def read_addition(fusion: Fusion, step: Step) -> Recipe | None:
    sign = -1 if step.op.endswith("sub") else 1
    return join(fusion, step, (1, sign))


def read_scaled_add(fusion: Fusion, step: Step) -> Recipe | None:
    joint = join(fusion, step, (number_of(step, "own"), number_of(step, "theirs")))
    return joint.then(shift_and_clip(step)) if joint else None


def _read_concatenation(fusion: Fusion, step: Step) -> Recipe | None:
    """Along the channels; every part takes the whole's zero."""
    shape = fusion.program.shapes[step.outputs[0]]
    if number_of(step, "axis") != 1 or not fusion.bounds[step.outputs[0]].fits_bytes:
        return None
    parts = [fusion.stored_exactly(each) for each in step.inputs]
    tensors = [part for part in parts if part is not None]
    builder = fusion.builder
    if len(tensors) < len(parts) or not _joins([builder.tensors[t].shape for t in tensors], shape):
        return None
    if any(builder.tensors[tensor].zero for tensor in tensors):
        tensors = [builder.to_signed(tensor) for tensor in tensors]
    return builder.recipe_of(builder.concatenate(tensors, shape))


def _joins(parts: Sequence[Shape], whole: Shape) -> bool:
    """Whether planes (n, c, h, w) make up a whole along their channels."""
    n, _, h, w = parts[0]
    channels = sum(part[1] for part in parts)
    is_alike = all((part[0], *part[2:]) == (n, h, w) for part in parts)
    return is_alike and as_planes(whole) == (n, channels, h, w)


READERS: dict[str, Reader] = {
    "conv2d": _read_convolution,
    "dense": _read_dense,
    "sum": _read_sum,
    "avg_pool2d": _read_average_pool,
    "max_pool2d": _read_max_pool,
    "concatenate": _read_concatenation,
    **dict.fromkeys(("elemwise_add", "broadcast_add"), read_addition),
    **dict.fromkeys(("elemwise_sub", "broadcast_sub"), read_addition),
    "scaled_add": read_scaled_add,
}
