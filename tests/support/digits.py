"""A small CNN on the real digits, trained in a few seconds, as ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks.mrt.training import export

TRAINING = 1437


@dataclass(frozen=True)
class Digits:
    """Images are (n, 1, 8, 8) with grey values 0…16."""

    onnx: bytes
    training: NDArray[np.float32]
    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@cache
def train_digits(epochs: int = 6) -> Digits:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    digits = load_digits()
    order = torch.randperm(len(digits.target))
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None][order]
    labels = torch.tensor(digits.target)[order]
    network = _train(images[:TRAINING], labels[:TRAINING], epochs)
    return Digits(
        export(network, images[:1]),
        images[:TRAINING].numpy(),
        images[TRAINING:].numpy(),
        labels[TRAINING:].numpy(),
    )


def _train(images: torch.Tensor, labels: torch.Tensor, epochs: int) -> torch.nn.Module:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(256, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(epochs):
        for start in range(0, len(images), 64):
            optimiser.zero_grad()
            part = slice(start, start + 64)
            torch.nn.functional.cross_entropy(network(images[part]), labels[part]).backward()
            optimiser.step()
    return network.eval()
