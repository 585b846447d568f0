"""Checkpoints of PyTorch trainers: one file, replaced atomically."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from farmctl.errors import StoreError
from farmctl.files import write_atomic
from farmctl.training.trainer import Record

FORM = 1
#: What reading a damaged file raises.
_DAMAGE = (
    OSError,
    RuntimeError,
    KeyError,
    EOFError,
    ValueError,
    TypeError,
    pickle.UnpicklingError,
)


@dataclass(frozen=True)
class TorchCheckpoints:
    """Keeps the trainer's state, the random state and the record in ``path``."""

    path: Path

    def save(self, record: Record, state: dict[str, Any]) -> None:
        """Raises `StoreError` when the disk is full; the checkpoint before stays good."""
        buffer = io.BytesIO()
        torch.save(
            {
                "form": FORM,
                "losses": list(record.losses),
                "device_seconds": record.device_seconds,
                "random": torch.get_rng_state(),
                "trainer": state,
            },
            buffer,
        )
        write_atomic(self.path, buffer.getvalue(), 0o600)

    def load(self) -> tuple[Record, dict[str, Any]] | None:
        """The checkpoint, or None before the first. Raises `StoreError` when it is damaged."""
        if not self.path.exists():
            return None
        try:
            saved = torch.load(self.path, weights_only=True)
            if saved["form"] != FORM:
                raise StoreError(f"{self.path.name} is of another form: {saved['form']}.")
            torch.set_rng_state(saved["random"])
            return Record(saved["losses"], saved["device_seconds"]), saved["trainer"]
        except _DAMAGE as error:
            raise StoreError(
                f"{self.path.name} is not a whole checkpoint: {type(error).__name__}"
            ) from error
