"""A small convolutional network on the digits that ship inside scikit-learn.

1,797 images of 8×8 pixels 0…16, a fifth of them kept for the test. Pixels enter as they are, as
integers in float form; the factor 1/16 is part of the exported graph, so that an integer graph
made from it takes the pixels themselves. The same seed gives the same losses to the last bit:
one thread, deterministic kernels, and a batch order that depends on seed and step alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from farmctl.training.protocol import JobSpec

SPLIT_SEED = 20260
TEST_IMAGES = 360
PIXEL_MAXIMUM = 16.0
OPSET = 17


def load_split() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training images, test images (float32 [n, 1, 8, 8], 0…16), and their labels (int64)."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    pixels = torch.from_numpy(images[order].astype(np.float32).reshape(-1, 1, 8, 8))
    named = torch.from_numpy(labels[order].astype(np.int64))
    return pixels[TEST_IMAGES:], pixels[:TEST_IMAGES], named[TEST_IMAGES:], named[:TEST_IMAGES]


class DigitsNetwork(nn.Module):
    """Pixels [n, 1, 8, 8] to ten scores [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 10),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layers(pixels)
        return scores


class DigitsTrainer:
    """Trains `DigitsNetwork` on pixels/16 with Adam; exports it with 1/16 folded in."""

    def __init__(self, seed: int, batch_size: int, learning_rate: float) -> None:
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(seed)
        self._seed = seed
        self._batch_size = batch_size
        self._train_x, self._test_x, self._train_y, self._test_y = load_split()
        self._network = DigitsNetwork()
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=learning_rate)

    def step(self, index: int) -> float:
        chosen = self._batch(index)
        self._optimizer.zero_grad(set_to_none=True)
        scores = self._network(self._train_x[chosen] / PIXEL_MAXIMUM)
        loss = nn.functional.cross_entropy(scores, self._train_y[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.item()

    def state(self) -> dict[str, Any]:
        return {
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])

    def accuracy(self, network: nn.Module, scale: float) -> float:
        """Share of the test images that ``network`` names right, its input divided by scale."""
        with torch.no_grad():
            named = network(self._test_x / scale).argmax(dim=1)
        return float((named == self._test_y).float().mean())

    def export(self, folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
        accuracy = self.accuracy(self._network.eval(), PIXEL_MAXIMUM)
        folded = fold_scale(self._network)
        torch.onnx.export(
            folded,
            (self._test_x[:1],),
            folder / "model.onnx",
            input_names=["data"],
            output_names=["scores"],
            opset_version=OPSET,
            # The newer exporter gives the same eight nodes, and takes seconds to be imported.
            dynamo=False,
        )
        np.savez(
            folder / "digits.npz",
            calibration=self._train_x[:256].numpy().astype(np.int8),
            test_images=self._test_x.numpy().astype(np.int8),
            test_labels=self._test_y.numpy().astype(np.int8),
        )
        metrics = {"accuracy": accuracy, "test_images": len(self._test_y)}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        figures = {"accuracy": f"{accuracy:.4f}", "test_images": str(len(self._test_y))}
        return ("model.onnx", "digits.npz", "metrics.json"), figures

    def _batch(self, index: int) -> torch.Tensor:
        per_epoch = len(self._train_y) // self._batch_size
        epoch, place = divmod(index, per_epoch)
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._train_y))
        start = place * self._batch_size
        return torch.from_numpy(order[start : start + self._batch_size])


def fold_scale(network: DigitsNetwork) -> DigitsNetwork:
    """The same function of pixels 0…16: the first layer's weights carry the factor 1/16."""
    folded = DigitsNetwork()
    folded.load_state_dict(network.state_dict())
    first = folded.layers[0]
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        first.weight.div_(PIXEL_MAXIMUM)
    return folded.eval()


def create(spec: JobSpec) -> DigitsTrainer:
    """Parameters: ``seed``, ``batch_size``, ``learning_rate``. Raises ValueError on nonsense."""
    seed = int(spec.parameters.get("seed", "1"))
    batch_size = int(spec.parameters.get("batch_size", "64"))
    learning_rate = float(spec.parameters.get("learning_rate", "0.002"))
    if seed < 0:
        raise ValueError("seed must not be negative")
    if not 1 <= batch_size <= 1024:
        raise ValueError(f"batch_size must be 1…1024, not {batch_size}")
    if not 0 < learning_rate <= 1:
        raise ValueError(f"learning_rate must be within 0…1, not {learning_rate}")
    return DigitsTrainer(seed, batch_size, learning_rate)
