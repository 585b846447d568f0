"""From the float network and its ranges to an integer CVM model.

Every tensor is int8 with a real scale: value = integer · scale, integer in ±127. The scale of a
weight is chosen so that the product of scales differs from the result's by a power of two, and a
result is brought to 8 bits by `cvm_right_shift` alone. Where scales meet that were not so chosen
(adding, averaging, concatenating), an integer multiplier of 15 bits stands before the shift.
With `Scaling.MULTIPLIER` that is done for weights too, with one scale for each output channel:
more exact, and more operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod

import numpy as np

from node.mrt.errors import CalibrationFailed, UnsupportedOperator
from node.mrt.network import Floats, Kind, Layer, Network, Window
from node.spec.cvm.writer import Entry, ModelWriter

INT8_LIMIT = 127
_MULTIPLIER_PRECISION = 15
_MULTIPLIER_LIMIT = (1 << (_MULTIPLIER_PRECISION - 1)) - 1
_ACCUMULATOR_PRECISION = 16
_SHIFT_LIMIT = 30


class Scaling(StrEnum):
    """How a weighted layer comes back to 8 bits."""

    SHIFT = "shift"
    MULTIPLIER = "multiplier"


@dataclass(frozen=True)
class Tensor:
    """A value of the integer model and the real scale of its integers."""

    entry: Entry
    scale: float


@dataclass(frozen=True)
class IntegerModel:
    """A converted model: its files, and the scale of each layer by name."""

    symbol: bytes
    parameters: bytes
    scales: Mapping[str, float]
    output_scales: tuple[float, ...]


def quantise(
    network: Network,
    limits: Mapping[str, float],
    input_scale: float,
    *,
    scaling: Scaling = Scaling.SHIFT,
    batch: int = 1,
    show_layers: bool = False,
) -> IntegerModel:
    """Build the integer model.

    Args:
        limits: Largest magnitude of each tensor, by name.
        input_scale: What one step of the int8 input is worth.
        batch: Inputs computed at once.
        show_layers: Make every layer an output, in their order, instead of the network's outputs.

    Raises:
        UnsupportedOperator: a layer cannot be expressed within the CVM's precisions.
        CalibrationFailed: a tensor is zero on all samples, so that its scale is unknown.
    """
    return _Quantiser(network, limits, input_scale, scaling, batch).build(show_layers)


class _Quantiser:
    def __init__(
        self,
        network: Network,
        limits: Mapping[str, float],
        input_scale: float,
        scaling: Scaling,
        batch: int,
    ) -> None:
        self.network, self.limits, self.scaling = network, limits, scaling
        self.batch = batch
        self.writer = ModelWriter()
        entry = self.writer.add_input((batch, *network.input_shape), 8)
        self.tensors = {network.input_name: Tensor(entry, input_scale)}

    def build(self, show_layers: bool) -> IntegerModel:
        for layer in self.network.layers:
            self.tensors[layer.name] = _LAYERS[layer.kind](self, layer)
        names = [layer.name for layer in self.network.layers]
        heads = [self.tensors[name] for name in (names if show_layers else self.network.outputs)]
        symbol, parameters = self.writer.finish([head.entry for head in heads])
        return IntegerModel(
            symbol,
            parameters,
            {name: self.tensors[name].scale for name in names},
            tuple(head.scale for head in heads),
        )

    # --- what a layer needs

    def _input(self, layer: Layer, index: int = 0) -> Tensor:
        return self.tensors[layer.inputs[index]]

    def _target_scale(self, layer: Layer) -> float:
        """Scale of the result. What a following ReLU or clip cuts off needs no room."""
        name = layer.name
        reader = self.network.sole_reader(name)
        if reader is not None and reader.kind in (Kind.RELU, Kind.CLIP):
            name = reader.name
        limit = self.limits.get(name, 0.0)
        if not limit > 0.0 or not math.isfinite(limit):
            raise CalibrationFailed(f"{name!r} is {limit} on all samples; calibrate on others")
        return limit / INT8_LIMIT

    def _parameter(self, name: str, values: Floats, precision: int) -> Entry:
        return self.writer.add_parameter(name, np.asarray(values, np.int32), precision)

    def _shift(self, name: str, entry: Entry, bits: int, precision: int = 8) -> Entry:
        return self.writer.add(
            "cvm_right_shift", name, [entry], precision=precision, shift_bit=bits
        )

    def _rescale(self, name: str, entry: Entry, ratio: Floats) -> Entry:
        """The integers ``entry · ratio`` in 8 bits; ``ratio`` broadcasts against the entry."""
        if entry.precision > _ACCUMULATOR_PRECISION:
            bits = entry.precision - _ACCUMULATOR_PRECISION
            entry = self._shift(f"{name}_narrowed", entry, bits, _ACCUMULATOR_PRECISION)
            ratio = ratio * 2.0**bits
        bits = _multiplier_bits(name, float(np.abs(ratio).max()))
        multiplier = self._multiplier(name, ratio, bits)
        product = self.writer.add("broadcast_mul", f"{name}_product", [entry, multiplier])
        return self._shift(f"{name}_rescaled", product, bits)

    def _multiplier(self, name: str, ratio: Floats, bits: int) -> Entry:
        values = np.rint(np.atleast_1d(ratio) * 2.0**bits)
        return self._parameter(f"{name}_multiplier", values, _MULTIPLIER_PRECISION)

    # --- layers

    def weighted(self, layer: Layer) -> Tensor:
        source, scale = self._input(layer), self._target_scale(layer)
        assert layer.weight is not None
        bits = _shift_for(scale / source.scale, float(np.abs(layer.weight).max()))
        if self.scaling is Scaling.SHIFT and bits >= 1:
            weight_scale = np.full(len(layer.weight), scale / source.scale / 2.0**bits)
            sums = self._add_weighted(layer, source, weight_scale)
            return Tensor(self._shift(f"{layer.name}_shifted", sums, bits), scale)
        largest = np.abs(layer.weight).reshape(len(layer.weight), -1).max(axis=1)
        weight_scale = np.where(largest > 0, largest, 1.0) / INT8_LIMIT
        sums = self._add_weighted(layer, source, weight_scale)
        ratio = weight_scale * source.scale / scale
        tail = (1, 1) if layer.kind is Kind.CONVOLUTION else ()
        return Tensor(self._rescale(layer.name, sums, ratio.reshape(-1, *tail)), scale)

    def _add_weighted(self, layer: Layer, source: Tensor, weight_scale: Floats) -> Entry:
        """Convolution or dense layer with integer weights; its sums have 16 bits and more."""
        assert layer.weight is not None
        column = weight_scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
        weight = np.clip(np.rint(layer.weight / column), -INT8_LIMIT, INT8_LIMIT)
        operands = [source.entry, self._parameter(f"{layer.name}_weight", weight, 8)]
        if layer.bias is not None:
            operands.append(self._add_bias(layer, weight_scale * source.scale))
        details = _describe_weighted(layer)
        operator = "conv2d" if layer.kind is Kind.CONVOLUTION else "dense"
        return self.writer.add(operator, layer.name, operands, **details)

    def _add_bias(self, layer: Layer, scale: Floats) -> Entry:
        assert layer.bias is not None
        bias = np.rint(layer.bias / scale)
        precision = int(np.abs(bias).max()).bit_length() + 1
        if precision > 31:
            raise UnsupportedOperator(layer.kind, layer.name, "has a bias beyond 31 bits")
        return self._parameter(f"{layer.name}_bias", bias, precision)

    def relu(self, layer: Layer) -> Tensor:
        source = self._input(layer)
        return Tensor(self.writer.add("relu", layer.name, [source.entry]), source.scale)

    def clip(self, layer: Layer) -> Tensor:
        source = self._input(layer)
        low, high = (
            int(np.clip(np.rint(bound / source.scale), -INT8_LIMIT, INT8_LIMIT))
            for bound in layer.bounds
        )
        if low >= high:
            raise UnsupportedOperator("Clip", layer.name, f"leaves nothing of {layer.bounds}")
        clipped = self.writer.add("clip", layer.name, [source.entry], a_min=low, a_max=high)
        if clipped.precision > 8:
            # The CVM counts a bound of 127 as 9 bits.
            clipped = self.writer.add("cvm_clip", f"{layer.name}_8", [clipped], precision=8)
        return Tensor(clipped, source.scale)

    def max_pool(self, layer: Layer) -> Tensor:
        source = self._input(layer)
        assert layer.window is not None
        window = layer.window
        pooled = self.writer.add(
            "max_pool2d",
            layer.name,
            [source.entry],
            pool_size=window.size,
            strides=window.strides,
            padding=window.padding,
            ceil_mode=window.ceil,
        )
        return Tensor(pooled, source.scale)

    def average_pool(self, layer: Layer) -> Tensor:
        """As a convolution of each channel with ones."""
        source, scale = self._input(layer), self._target_scale(layer)
        assert layer.window is not None
        channels = source.entry.shape[1]
        ones = self._parameter(f"{layer.name}_ones", np.ones((channels, 1, *layer.window.size)), 2)
        details = _describe_window(layer.window, channels, channels, has_bias=False)
        sums = self.writer.add("conv2d", layer.name, [source.entry, ones], **details)
        ratio = np.array(source.scale / scale / prod(layer.window.size))
        return Tensor(self._rescale(layer.name, sums, ratio), scale)

    def global_average(self, layer: Layer) -> Tensor:
        source, scale = self._input(layer), self._target_scale(layer)
        area = prod(source.entry.shape[2:])
        sums = self.writer.add(
            "sum", layer.name, [source.entry], axis="(2, 3)", keepdims=len(layer.shape) == 3
        )
        ratio = np.array(source.scale / scale / area)
        return Tensor(self._rescale(layer.name, sums, ratio), scale)

    def add(self, layer: Layer) -> Tensor:
        """Both operands times a multiplier, added, then shifted once."""
        scale = self._target_scale(layer)
        operands = [self._input(layer, index) for index in (0, 1)]
        ratios = [operand.scale / scale for operand in operands]
        bits = _multiplier_bits(layer.name, max(ratios))
        products = []
        for index, (operand, ratio) in enumerate(zip(operands, ratios, strict=True)):
            name = f"{layer.name}_{index}"
            multiplier = self._multiplier(name, np.array(ratio), bits)
            product = self.writer.add("broadcast_mul", name, [operand.entry, multiplier])
            products.append(product)
        total = self.writer.add("broadcast_add", layer.name, products)
        return Tensor(self._shift(f"{layer.name}_shifted", total, bits), scale)

    def concatenate(self, layer: Layer) -> Tensor:
        scale = self._target_scale(layer)
        parts = []
        for index in range(len(layer.inputs)):
            part = self._input(layer, index)
            ratio = np.array(part.scale / scale)
            parts.append(self._rescale(f"{layer.name}_{index}", part.entry, ratio))
        return Tensor(self.writer.add("concatenate", layer.name, parts, axis=layer.axis), scale)

    def reshape(self, layer: Layer) -> Tensor:
        source = self._input(layer)
        shape = (self.batch, *layer.shape)
        return Tensor(
            self.writer.add("reshape", layer.name, [source.entry], shape=shape), source.scale
        )


_LAYERS: dict[Kind, Callable[[_Quantiser, Layer], Tensor]] = {
    Kind.CONVOLUTION: _Quantiser.weighted,
    Kind.DENSE: _Quantiser.weighted,
    Kind.RELU: _Quantiser.relu,
    Kind.CLIP: _Quantiser.clip,
    Kind.MAX_POOL: _Quantiser.max_pool,
    Kind.AVERAGE_POOL: _Quantiser.average_pool,
    Kind.GLOBAL_AVERAGE: _Quantiser.global_average,
    Kind.ADD: _Quantiser.add,
    Kind.CONCATENATE: _Quantiser.concatenate,
    Kind.RESHAPE: _Quantiser.reshape,
}


def _shift_for(scale_ratio: float, largest_weight: float) -> int:
    """Most bits to shift such that the largest weight still fits 8 bits."""
    if largest_weight == 0:
        return 1
    return min(math.floor(math.log2(INT8_LIMIT * scale_ratio / largest_weight)), _SHIFT_LIMIT)


def _multiplier_bits(name: str, largest_ratio: float) -> int:
    """Bits after the point that a multiplier of 15 bits can have for this ratio."""
    bits = min(math.floor(math.log2(_MULTIPLIER_LIMIT / largest_ratio)), _SHIFT_LIMIT)
    if bits < 1:
        raise UnsupportedOperator("rescaling", name, f"by {largest_ratio:.3g} is too large")
    return bits


def _describe_weighted(layer: Layer) -> dict[str, object]:
    assert layer.weight is not None
    has_bias = layer.bias is not None
    if layer.window is None:
        return {"units": len(layer.weight), "use_bias": has_bias}
    return _describe_window(layer.window, len(layer.weight), layer.groups, has_bias)


def _describe_window(
    window: Window, channels: int, groups: int, has_bias: bool
) -> dict[str, object]:
    return {
        "channels": channels,
        "kernel_size": window.size,
        "strides": window.strides,
        "padding": window.padding,
        "dilation": window.dilation,
        "groups": groups,
        "use_bias": has_bias,
    }
