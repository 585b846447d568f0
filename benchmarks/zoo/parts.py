"""Blocks that several nets are built of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolve(
    inputs: int, outputs: int, size: int | tuple[int, int], stride: int = 1, **options: int
) -> nn.Sequential:
    """Convolution with a bias, then ReLU. ``options``: padding, groups."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, **options), nn.ReLU())


def convolve_normalised(
    inputs: int,
    outputs: int,
    size: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=1e-3), nn.ReLU())


class Branches(nn.Module):
    """The same input through each branch; the results side by side along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def average_and_classify(channels: int, classes: int = 1000) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
