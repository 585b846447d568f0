"""What both integer forms share: which scale a value gets, and layers that only move values.

Every value is an integer with a real scale: real = integer · scale. A form says how a sum is
brought back to few bits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from node.mrt.errors import CalibrationFailed, UnsupportedOperator
from node.mrt.forms.numbers import SIGNED_LIMIT, UNSIGNED_LIMIT
from node.mrt.layers import (
    Add,
    AveragePool,
    Clip,
    Concatenate,
    Constant,
    Doubles,
    Embed,
    Floats,
    Layer,
    MaxPool,
    Mean,
    Multiply,
    Pad,
    Rectify,
    Reshape,
    Slice,
    Softmax,
    Transpose,
    Upsample,
    Weighted,
)
from node.mrt.network import Network
from node.spec.cvm.errors import CvmLoadError
from node.spec.cvm.operators.operator import precision_of
from node.spec.cvm.writer import Entry, ModelWriter

_KEEPS_SIGN = (
    AveragePool, Concatenate, MaxPool, Mean, Multiply, Pad, Reshape, Slice, Transpose, Upsample,
)  # fmt: skip


@dataclass(frozen=True)
class Value:
    """A value of the integer model: its integers lie in low…high."""

    entry: Entry
    scale: float
    low: int
    high: int


@dataclass(frozen=True)
class Target:
    """What a layer's result is to become."""

    scale: float
    low: int
    high: int

    @property
    def precision(self) -> int:
        return precision_of(max(abs(self.low), abs(self.high), SIGNED_LIMIT))


@dataclass(frozen=True)
class Calibration:
    """What the float model's values are like, by name. ``ranges``: least and largest; ``means``
    and ``channel_limits``: mean and largest magnitude of each channel of what weighted layers
    read."""

    ranges: Mapping[str, tuple[float, float]]
    means: Mapping[str, Floats] = field(default_factory=dict)
    channel_limits: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class IntegerModel:
    """A converted model: its files, and the scale of each layer that it shows, by name."""

    symbol: bytes
    parameters: bytes
    scales: Mapping[str, float]
    output_scales: tuple[float, ...]


def find_input_limit(network: Network) -> int:
    """Largest magnitude of the integers that go in: bytes, or numbers of a table's rows."""
    tables = [layer for layer in network.layers if isinstance(layer, Embed)]
    rows = max((len(layer.table) for layer in tables), default=0)
    return max(SIGNED_LIMIT, rows - 1)


class Builder(ABC):
    """Walks a network once and writes each layer. A subclass lists its layers in ``layers``."""

    extended: ClassVar[bool]
    """Whether the extension's operators are at hand, and values from 0 up take 0…255."""
    layers: ClassVar[Mapping[type[Layer], Callable[[Any, Any], Value]]]

    def __init__(
        self, network: Network, calibration: Calibration, input_scale: float, weight_bits: int
    ) -> None:
        self.network, self.calibration = network, calibration
        self.weight_bits = weight_bits
        self.writer = ModelWriter(extended=self.extended)
        self.absorbed: set[str] = set()
        """Layers whose own value is cut off as their reader, a ReLU or clip, would."""
        limit = find_input_limit(network)
        entry = self.writer.add_input(network.input_shape, precision_of(limit))
        self.values = {network.input_name: Value(entry, input_scale, -limit, limit)}

    def build(self, show_layers: bool) -> IntegerModel:
        """Write the model.

        Args:
            show_layers: Make every layer an output, in their order, instead of the network's.
        """
        for layer in self.network.layers:
            self.values[layer.name] = self._write(layer)
        shown = [each.name for each in self.network.layers if each.name not in self.absorbed]
        names = shown if show_layers else self.network.outputs
        heads = [self.values[name] for name in names]
        symbol, parameters = self.writer.finish([head.entry for head in heads])
        scales = {name: self.values[name].scale for name in shown}
        return IntegerModel(symbol, parameters, scales, tuple(head.scale for head in heads))

    def _write(self, layer: Layer) -> Value:
        method, node = self.layers.get(type(layer)), self.network.nodes[layer.name]
        if method is None:
            raise UnsupportedOperator(layer.kind, node, self._refusal())
        try:
            value = method(self, layer)
        except CvmLoadError as error:  # its precisions, which cannot be proved
            raise UnsupportedOperator(layer.kind, node, f"is refused: {error}") from error
        except UnsupportedOperator as error:
            raise UnsupportedOperator(error.operator, node, error.reason) from error
        if value.entry.shape != layer.shape:
            reason = f"comes out as {value.entry.shape}, not {layer.shape}"
            raise UnsupportedOperator(layer.kind, node, reason)
        return value

    def _refusal(self) -> str:
        return "has no counterpart" if self.extended else "exists in the extension form only"

    # --- what a layer asks

    def source(self, layer: Layer, index: int = 0) -> Value:
        return self.values[layer.inputs[index]]

    def is_nonnegative(self, name: str) -> bool:
        """Whether a value cannot be below 0, whatever the input."""
        return name in self._nonnegative

    @cached_property
    def _nonnegative(self) -> set[str]:
        found: set[str] = set()
        for layer in self.network.layers:
            if _stays_nonnegative(layer, found):
                found.add(layer.name)
        return found

    def target(self, layer: Layer) -> Target:
        """Scale and bounds of a layer's result.

        What a following ReLU or clip cuts off needs no room, and parts of a concatenation take
        its scale, where nothing else reads them.
        """
        name, low, high = layer.name, -math.inf, math.inf
        while True:
            reader = self.network.sole_reader(name)
            if isinstance(reader, Rectify | Clip):
                self.absorbed.add(name)
                bounds = (reader.low, reader.high) if isinstance(reader, Clip) else (0.0, math.inf)
                low, high = max(low, bounds[0]), min(high, bounds[1])
            elif not isinstance(reader, Concatenate):
                break
            name = reader.name
        if self.is_nonnegative(name):
            low = max(low, 0.0)
        return self.fit(layer, name, low, high)

    def fit(self, layer: Layer, name: str, low: float, high: float) -> Target:
        """The target of values that are seen within the range of ``name``, clipped."""
        seen = self.calibration.ranges.get(name, (0.0, 0.0))
        limit = max(abs(bound) for bound in seen)
        if not limit > 0.0 or not math.isfinite(limit):
            raise CalibrationFailed(f"{name!r} is {limit} on all samples; calibrate on others")
        limit = min(limit, max(abs(low), abs(high)))
        room = self.room(name)
        scale = limit / room
        most = max(room, SIGNED_LIMIT) if room != UNSIGNED_LIMIT else SIGNED_LIMIT
        floor = max(-most, round(low / scale)) if low > -math.inf else -most
        ceiling = min(room, round(high / scale)) if high < math.inf else room
        if floor >= ceiling:
            raise UnsupportedOperator(layer.kind, layer.name, f"leaves nothing of {low}…{high}")
        return Target(scale, floor, ceiling)

    def room(self, name: str) -> int:
        """Largest integer of a value."""
        return SIGNED_LIMIT

    def parameter(self, name: str, values: Any, precision: int | None = None) -> Entry:
        """A constant, of the least precision that holds it if none is given."""
        if precision is None:
            precision = precision_of(int(np.abs(values).max()))
        return self.writer.add_parameter(name, np.asarray(values), precision)

    @abstractmethod
    def rescale(
        self, name: str, value: Value, ratio: Doubles, target: Target, axis: int = 1
    ) -> Value:
        """The integers times ``ratio`` (one number, or one for each index of the axis), within
        the target. ``value`` bounds what can come."""

    def fit_scale(self, name: str, value: Value, target: Target) -> Value:
        """The same reals in the target's scale."""
        ratio = value.scale / target.scale
        if math.isclose(ratio, 1.0, rel_tol=1e-6) and value.low >= target.low:
            return value
        return self.rescale(name, value, np.array([ratio]), target)

    @abstractmethod
    def shift_down(self, name: str, entry: Entry, bits: int, target: Target) -> Value:
        """The integers divided by 2^bits, half up, within the target."""

    @abstractmethod
    def weigh(
        self, layer: Weighted, source: Value, operator: str, details: Mapping[str, object]
    ) -> Value:
        """Sums of products of a weighted layer, in its target."""

    def reshape(self, name: str, value: Value, shape: tuple[int, ...]) -> Value:
        if value.entry.shape == shape:
            return value
        return replace(value, entry=self.writer.add("reshape", name, [value.entry], shape=shape))


def _stays_nonnegative(layer: Layer, nonnegative: set[str]) -> bool:
    """Given which of the values before it are."""
    if isinstance(layer, Rectify | Softmax):
        return True
    if isinstance(layer, Clip):
        return layer.low >= 0
    if isinstance(layer, Constant):
        return bool((layer.value >= 0).all())
    if (isinstance(layer, Add) and layer.signs == (1, 1)) or isinstance(layer, _KEEPS_SIGN):
        return nonnegative.issuperset(layer.inputs)
    return False
