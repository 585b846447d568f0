"""Proof that PyTorch trains on this CPU. Jobs themselves run in the farm's sandbox."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverMissing


def is_installed() -> bool:
    """Whether PyTorch is here, without the seconds that importing it takes."""
    return importlib.util.find_spec("torch") is not None


class TrainProof:
    """A `drivers.base.TrainSession`."""

    def __init__(self) -> None:
        """Raises `DriverMissing` when PyTorch cannot be imported."""
        try:
            self._torch = importlib.import_module("torch")
        except (ImportError, OSError) as error:
            raise DriverMissing(f"PyTorch cannot be loaded: {error}") from None

    def gradient(self, x: NDArray[np.int32], w: NDArray[np.int32]) -> NDArray[np.int32]:
        torch = self._torch
        weights = torch.tensor(w, dtype=torch.float32, requires_grad=True)
        product = torch.tensor(x, dtype=torch.float32) @ weights
        (product**2).sum().backward()
        found: NDArray[np.int32] = weights.grad.numpy().astype(np.int32)
        return found

    def close(self) -> None:
        """Nothing is held."""
