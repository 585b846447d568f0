"""Data that scikit-learn brings along, and networks trained on them in seconds."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits
from torch import nn

from benchmarks.mrt import networks

SEED, TEST_SHARE, BATCH = 0, 0.25, 64
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    name: str
    load: Callable[[], tuple[Floats, NDArray[np.int64]]]
    build: Callable[[], nn.Module]
    epochs: int
    input_scale: float | None = None
    has_cvm: bool = True
    """Whether the official form has its operators."""
    is_quick: bool = False


@dataclass(frozen=True)
class Trained:
    """A network as ONNX with an open batch, and its data."""

    task: Task
    onnx: bytes
    training: Floats
    images: Floats
    labels: NDArray[np.int64]


def train(task: Task, quick: bool = False) -> Trained:
    """Train with a fixed seed on three quarters of the data; the rest judges."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    inputs, labels = task.load()
    order = np.random.default_rng(SEED).permutation(len(labels))
    cut = int(len(labels) * (1 - TEST_SHARE))
    known, unknown = order[:cut], order[cut:]
    network = task.build()
    epochs = max(1, task.epochs // 3) if quick else task.epochs
    _fit(network, torch.from_numpy(inputs[known]), torch.from_numpy(labels[known]), epochs)
    content = export(network.eval(), torch.from_numpy(inputs[:2]))
    return Trained(task, content, inputs[known], inputs[unknown], labels[unknown])


def _fit(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(inputs)).split(BATCH):  # type: ignore[no-untyped-call]
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def export(network: nn.Module, example: torch.Tensor) -> bytes:
    """ONNX with an open batch."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (example,), stream, dynamo=False, opset_version=17,  # type: ignore[arg-type]
            input_names=["input"], output_names=["scores"], dynamic_axes={"input": {0: "n"}},
        )  # fmt: skip
    return stream.getvalue()


def _load_images() -> tuple[Floats, NDArray[np.int64]]:
    digits = load_digits()
    return digits.images.astype(np.float32)[:, None], digits.target.astype(np.int64)


def _load_rows() -> tuple[Floats, NDArray[np.int64]]:
    images, labels = _load_images()
    return images[:, 0], labels


def _load_cancer() -> tuple[Floats, NDArray[np.int64]]:
    """Each measurement over its largest: as a contract would send it, in 8 bits."""
    cancer = load_breast_cancer()
    inputs = (cancer.data / cancer.data.max(axis=0)).astype(np.float32)
    return inputs, cancer.target.astype(np.int64)


TASKS = (
    Task("digits, convolutional", _load_images, networks.convolutional, 15, 1.0, is_quick=True),
    Task("digits, depthwise", _load_images, networks.depthwise, 20, 1.0),
    Task("digits, transformer", _load_rows, networks.Transformer, 20, 1.0, has_cvm=False),
    Task("breast cancer, perceptron", _load_cancer, networks.perceptron, 60, is_quick=True),
)
