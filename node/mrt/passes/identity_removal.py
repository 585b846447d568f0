"""Leave out layers that change nothing, and layers that nobody reads."""

from __future__ import annotations

from dataclasses import replace

from node.mrt.layers import Affine, Identity, Layer, Pad, Reshape, Slice
from node.mrt.network import Network


def remove_identities(network: Network) -> Network:
    """Readers of a layer that changes nothing read what it reads."""
    aliases: dict[str, str] = {}
    kept: list[Layer] = []
    for layer in network.layers:
        source = tuple(aliases.get(name, name) for name in layer.inputs)
        if _changes_nothing(layer, network) and not _is_last(layer, source, network):
            aliases[layer.name] = source[0]
        else:
            kept.append(replace(layer, inputs=source))
    outputs = tuple(aliases.get(name, name) for name in network.outputs)
    return remove_unread(replace(network, layers=tuple(kept), outputs=outputs))


def remove_unread(network: Network) -> Network:
    wanted, kept = set(network.outputs), []
    for layer in reversed(network.layers):
        if layer.name in wanted:
            wanted.update(layer.inputs)
            kept.append(layer)
    return network.with_layers(kept[::-1])


def _is_last(layer: Layer, source: tuple[str, ...], network: Network) -> bool:
    """Whether the network's output would become its input."""
    return layer.name in network.outputs and source[0] == network.input_name


def _changes_nothing(layer: Layer, network: Network) -> bool:
    if isinstance(layer, Identity):
        return True
    if isinstance(layer, Affine):
        return bool((layer.scale == 1).all() and (layer.offset == 0).all())
    same = bool(layer.inputs) and network.shape_of(layer.inputs[0]) == layer.shape
    if isinstance(layer, Pad):
        return not any((*layer.before, *layer.after))
    return same and isinstance(layer, Reshape | Slice)
