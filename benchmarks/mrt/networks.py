"""The networks: small ones of four kinds."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def convolutional() -> nn.Module:
    """For images (1, 8, 8): plain convolutions with batch normalisation."""
    return nn.Sequential(
        *_unit(1, 16, 3), *_unit(16, 32, 3), nn.MaxPool2d(2), *_unit(32, 32, 3),
        nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip


def depthwise() -> nn.Module:
    """For images (1, 8, 8): separable convolutions, the hard case for whole-tensor scales."""
    layers = [*_unit(1, 16, 3)]
    for inputs, outputs in ((16, 32), (32, 32), (32, 64)):
        layers += [*_unit(inputs, inputs, 3, groups=inputs), *_unit(inputs, outputs, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _unit(inputs: int, outputs: int, size: int, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def perceptron() -> nn.Module:
    """For 30 measurements, two classes."""
    return nn.Sequential(
        nn.BatchNorm1d(30), nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(),
        nn.Linear(16, 2),
    )  # fmt: skip


class Transformer(nn.Module):
    """For images (8, 8), a row a token: two layers, width 64, four heads."""

    def __init__(self, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Linear(8, width)
        self.position = nn.Parameter(torch.randn(1, 8, width) * 0.1)
        self.layers = nn.Sequential(*(_Layer(width, heads) for _ in range(layers)))
        self.scores = nn.Linear(width, 10)

    def forward(self, rows: Tensor) -> Tensor:
        tokens: Tensor = self.layers(self.embedding(rows) + self.position)
        scores: Tensor = self.scores(tokens.mean(1))
        return scores


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.three, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.back = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self._attend(self.before(tokens))
        wide = nn.functional.gelu(self.wide(self.after(tokens)))
        back: Tensor = self.back(wide)
        return tokens + back

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        parts = self.three(tokens).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value)
        found: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return found
