"""Steps that combine several elements or values: what each becomes as the root of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.infer.bounds import bound_sums
from drivers.kernels.infer.builder import bias_or_zero
from drivers.kernels.infer.elementwise import half_of, number
from drivers.kernels.infer.geometry import Shape, as_planes, padding_of, pair_of, window_of
from drivers.kernels.infer.joints import join
from drivers.kernels.infer.layers import Pool, PoolKind, Window
from drivers.kernels.infer.primitives import Chain, Clip, Offset, Shift
from drivers.kernels.infer.recipes import Recipe, Stored, Totals, Weighted
from drivers.program import Step

if TYPE_CHECKING:
    from drivers.kernels.infer.fusion import Fusion

Reader = Callable[["Fusion", Step], Recipe | None]


# --- sums of products


def _read_convolution(fusion: Fusion, step: Step) -> Recipe | None:
    weight, bias = _read_weights(fusion, step)
    if weight is None or bias is None:
        return None
    source = fusion.stored_exactly(step.inputs[0])
    if source is None:
        return None
    groups = number(step, "groups", 1)
    window = window_of(step, (weight.shape[2], weight.shape[3]))
    shape = fusion.program.shapes[step.outputs[0]]
    if (ones := _read_average(weight, bias, groups)) is not None:
        bounds = bound_sums(weight, None, fusion.builder.bounds_of(source), is_padded=True)
        return Recipe(Totals(source, window), ones, shape, bounds)
    return _weighted(fusion, step, Weighted(source, weight, bias, window, groups), shape)


def _read_dense(fusion: Fusion, step: Step) -> Recipe | None:
    """A window over the whole image, of which the program sees only the flat form."""
    weight, bias = _read_weights(fusion, step)
    if weight is None or bias is None:
        return None
    source = fusion.stored(step.inputs[0])
    if source is None:
        return None
    rows, columns = fusion.program.shapes[step.inputs[0]]
    shape = as_planes(fusion.builder.tensors[source].shape)
    if shape[0] != rows or prod(shape[1:]) != columns:
        return None
    window = Window((shape[2], shape[3]))
    kernel = weight.reshape(weight.shape[0], *shape[1:])
    units = fusion.program.shapes[step.outputs[0]]
    return _weighted(fusion, step, Weighted(source, kernel, bias, window, 1), as_planes(units))


def _read_weights(
    fusion: Fusion, step: Step
) -> tuple[NDArray[np.int8] | None, NDArray[np.int32] | None]:
    """Weights of at most 8 bits, and the bias or zeros; None if they are not constants."""
    parameters = fusion.program.parameters
    weight = parameters.get(step.inputs[1])
    if weight is None or weight.size == 0 or weight.min() < -128 or weight.max() > 127:
        return None, None
    if weight.ndim not in (2, 4):
        return None, None
    bias = parameters.get(step.inputs[2]) if len(step.inputs) > 2 else None
    if len(step.inputs) > 2 and bias is None:
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
    if number(step, "exclude", 0):
        return None
    source = fusion.stored_exactly(step.inputs[0])
    if source is None:
        return None
    area = np.array([prod(shape[2:])], np.int64)
    bounds = fusion.builder.bounds_of(source).multiply(area)
    return Recipe(Totals(source, Window((shape[2], shape[3]))), (), (*shape[:2], 1, 1), bounds)


# --- maxima


def _read_max_pool(fusion: Fusion, step: Step) -> Recipe | None:
    source = fusion.stored_exactly(step.inputs[0])
    size = pair_of(step, "pool_size", 1)
    shape = fusion.program.shapes[step.outputs[0]]
    if source is None or not _meets_pixels(fusion, step, size, shape):
        return None
    layer = Pool(0, 0, PoolKind.LARGEST, window_of(step, size))
    target = fusion.builder.pool(source, shape, layer)
    return Recipe(Stored(target), (), as_planes(shape), fusion.builder.bounds_of(target))


def _meets_pixels(fusion: Fusion, step: Step, size: tuple[int, int], shape: Shape) -> bool:
    """Whether no window lies in the padding alone."""
    source = fusion.program.shapes[step.inputs[0]]
    margins, strides = padding_of(step)[:2], pair_of(step, "strides", 1)
    return all(
        margin < window and (count - 1) * stride - margin < length
        for margin, window, count, stride, length in zip(
            margins, size, shape[2:], strides, source[2:], strict=True
        )
    )


def read_addition(fusion: Fusion, step: Step) -> Recipe | None:
    sign = -1 if step.op.endswith("sub") else 1
    return join(fusion, step, (1, sign))


def read_scaled_add(fusion: Fusion, step: Step) -> Recipe | None:
    shift = number(step, "shift")
    chain = (Shift(half_of(shift), shift), Clip(number(step, "low"), number(step, "high")))
    joint = join(fusion, step, (number(step, "own"), number(step, "theirs")))
    return joint.then(chain) if joint else None


def _read_concatenation(fusion: Fusion, step: Step) -> Recipe | None:
    """Along the channels; every part takes the whole's zero."""
    shape = fusion.program.shapes[step.outputs[0]]
    if number(step, "axis") != 1 or not fusion.bounds[step.outputs[0]].fits_bytes:
        return None
    parts = [fusion.stored_exactly(each) for each in step.inputs]
    tensors = [part for part in parts if part is not None]
    if len(tensors) < len(parts):
        return None
    builder = fusion.builder
    if any(builder.tensors[tensor].zero for tensor in tensors):
        tensors = [builder.to_signed(tensor) for tensor in tensors]
    target = builder.concatenate(tensors, shape)
    return Recipe(Stored(target), (), as_planes(shape), builder.bounds_of(target))


READERS: dict[str, Reader] = {
    "conv2d": _read_convolution,
    "dense": _read_dense,
    "sum": _read_sum,
    "max_pool2d": _read_max_pool,
    "concatenate": _read_concatenation,
    **dict.fromkeys(("elemwise_add", "broadcast_add"), read_addition),
    **dict.fromkeys(("elemwise_sub", "broadcast_sub"), read_addition),
    "scaled_add": read_scaled_add,
}
