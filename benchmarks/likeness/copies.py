"""Models trained apart, and copies of one: renamed, permuted, scaled, noisy, trained on.

The network is a small CNN on the real digits; its integers are made here, layer by layer, so that
tests need no ONNX.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from node.spec.cvm import Graph, load
from node.spec.cvm.writer import Entry, ModelWriter

Floats = NDArray[np.float32]
BITS = 8
WIDTHS = (8, 16)


@dataclass(frozen=True)
class Network:
    """Weights of two convolutions (o, i, 3, 3) and a dense layer (10, features)."""

    first: Floats
    second: Floats
    last: Floats

    def layers(self) -> tuple[Floats, Floats, Floats]:
        return self.first, self.second, self.last


def train(seed: int, epochs: int = 8, start: Network | None = None, half: int = 0) -> Network:
    """From a seed, or on from ``start``; on all digits, or on one half of them (1 or 2)."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    digits = load_digits()
    chosen = slice(half - 1, None, 2) if half else slice(None)
    images = torch.tensor(digits.images, dtype=torch.float32)[chosen, None] / 16
    labels = torch.tensor(digits.target)[chosen]
    network = _network()
    if start is not None:
        with torch.no_grad():
            for layer, weights in zip(_layers(network), start.layers(), strict=True):
                layer.weight.copy_(torch.tensor(weights))
    rate = 2e-3 if start is None else 5e-4
    optimiser = torch.optim.Adam(network.parameters(), rate)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for part in order.split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(images[part]), labels[part]).backward()
            optimiser.step()
    return Network(*(layer.weight.detach().numpy() for layer in _layers(network)))


def _network() -> torch.nn.Sequential:
    first, second = WIDTHS
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, first, 3, padding=1, bias=False), torch.nn.ReLU(),
        torch.nn.Conv2d(first, second, 3, padding=1, bias=False), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(16 * second, 10, bias=False),
    )  # fmt: skip


def _layers(network: torch.nn.Sequential) -> list[torch.nn.Module]:
    return [network[0], network[2], network[6]]


def permute(network: Network, seed: int = 0) -> Network:
    """The same function, its channels in another order."""
    rng = np.random.default_rng(seed)
    one, two = (rng.permutation(width) for width in WIDTHS)
    last = network.last.reshape(10, WIDTHS[1], -1)[:, two].reshape(10, -1)
    return Network(network.first[one], network.second[two][:, one], last)


def rescale(network: Network, seed: int = 0) -> Network:
    """The same function, the strength of each channel moved into the next layer."""
    rng = np.random.default_rng(seed)
    one, two = (np.exp(rng.normal(0, 0.5, width)).astype(np.float32) for width in WIDTHS)
    last = network.last.reshape(10, WIDTHS[1], -1) / two[:, None]
    return Network(
        network.first * one[:, None, None, None],
        network.second * two[:, None, None, None] / one[:, None, None],
        last.reshape(10, -1),
    )


def add_noise(network: Network, ratio: float, seed: int = 0) -> Network:
    """Gaussian noise of ``ratio`` of each layer's own strength."""
    rng = np.random.default_rng(seed)
    return Network(
        *(w + (ratio * w.std() * rng.normal(size=w.shape)).astype(np.float32)
          for w in network.layers())
    )  # fmt: skip


def write_files(
    network: Network, prefix: str = "", bits: int = BITS, swap: bool = False
) -> tuple[bytes, bytes]:
    """Symbol and parameters as an integer model; names begin with ``prefix``, and ``swap`` puts
    the parameters into another order."""
    writer = ModelWriter()
    data = writer.add_input((1, 1, 8, 8), 8)
    weights = list(zip("abc", (quantise(w, bits) for w in network.layers()), strict=True))
    made: dict[str, Entry] = {}
    for name, values in reversed(weights) if swap else weights:
        made[name] = writer.add_parameter(f"{prefix}{name}", values, bits)
    entry = data
    for name, width in zip("ab", WIDTHS, strict=True):
        entry = writer.add(
            "conv2d", f"{prefix}conv{name}", [entry, made[name]], channels=width,
            kernel_size=(3, 3), padding=(1, 1), use_bias=False,
        )  # fmt: skip
        entry = writer.add(
            "cvm_right_shift", f"{prefix}shift{name}", [entry], precision=8, shift_bit=8
        )
        entry = writer.add("relu", f"{prefix}relu{name}", [entry])
    entry = writer.add("max_pool2d", f"{prefix}pool", [entry], pool_size=(2, 2), strides=(2, 2))
    entry = writer.add("flatten", f"{prefix}flat", [entry])
    entry = writer.add("dense", f"{prefix}dense", [entry, made["c"]], units=10, use_bias=False)
    return writer.finish([entry])


def quantise(weights: Floats, bits: int = BITS) -> NDArray[np.int32]:
    limit = (1 << (bits - 1)) - 1
    return np.rint(weights / np.abs(weights).max() * limit).astype(np.int32)


def graph(network: Network, prefix: str = "", bits: int = BITS, swap: bool = False) -> Graph:
    return load(*write_files(network, prefix, bits, swap))


def names(symbol: bytes) -> list[str]:
    return [node["name"] for node in json.loads(symbol)["nodes"]]
