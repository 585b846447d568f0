"""The float network between a frontend and an integer form: layers in order, static shapes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from node.mrt.layers import Floats, Layer, Shape


@dataclass(frozen=True)
class Network:
    """Layers in order of execution. ``nodes`` tells which node of the model each layer comes from.
    ``factors`` tells where a pass has scaled a tensor's channels: the network's value is the float
    model's times the factor."""

    input_name: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    nodes: dict[str, str] = field(default_factory=dict)
    factors: dict[str, Floats] = field(default_factory=dict)

    @cached_property
    def makers(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def readers(self) -> dict[str, list[Layer | None]]:
        """The layers that read each tensor; None stands for an output of the network."""
        found: dict[str, list[Layer | None]] = {self.input_name: []}
        for layer in self.layers:
            found.setdefault(layer.name, [])
            for name in layer.inputs:
                found.setdefault(name, []).append(layer)
        for name in self.outputs:
            found[name].append(None)
        return found

    def sole_reader(self, name: str) -> Layer | None:
        """The layer that alone reads a tensor, or None if there are others."""
        readers = self.readers[name]
        return readers[0] if len(readers) == 1 else None

    def shape_of(self, name: str) -> Shape:
        return self.input_shape if name == self.input_name else self.makers[name].shape

    def with_layers(self, layers: list[Layer]) -> Network:
        return replace(self, layers=tuple(layers))
