"""The contract of a trainer, and the loop that runs one with checkpoints.

A trainer is a file in ``farmctl/training/trainers`` with ``create(spec) -> Trainer``; its name,
with ``-`` for ``_``, is the job's kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from farmctl.training.protocol import Finished, Progress, Saved


class Trainer(Protocol):
    def step(self, index: int) -> float:
        """Do training step ``index`` (from 0) and return its loss."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        ...

    def restore(self, state: dict[str, Any]) -> None: ...

    def export(self, folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
        """Write the results; return their file names, and figures such as ``accuracy``."""
        ...


@dataclass
class Record:
    """What has been done, each step exactly once, as the checkpoint keeps it."""

    losses: list[float] = field(default_factory=list)
    device_seconds: float = 0.0

    @property
    def steps_done(self) -> int:
        return len(self.losses)


class CheckpointStore(Protocol):
    def load(self) -> tuple[Record, dict[str, Any]] | None: ...

    def save(self, record: Record, state: dict[str, Any]) -> None: ...


@dataclass
class Loop:
    """Runs a trainer to its end or until it is asked to drain."""

    trainer: Trainer
    store: CheckpointStore
    folder: Path
    total_steps: int
    checkpoint_steps: int
    tell: Callable[[Progress | Saved | Finished], None]
    should_drain: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic

    def run(self) -> bool:
        """True when the job is finished, False when it drained with a checkpoint."""
        record = self._resume()
        saved_steps = record.steps_done
        while record.steps_done < self.total_steps:
            self._step(record)
            drained = self.should_drain()
            if drained or record.steps_done - saved_steps >= self.checkpoint_steps:
                self._save(record)
                saved_steps = record.steps_done
            if drained and record.steps_done < self.total_steps:
                return False
        self._finish(record)
        return True

    def _resume(self) -> Record:
        found = self.store.load()
        if found is None:
            return Record()
        record, state = found
        self.trainer.restore(state)
        return record

    def _step(self, record: Record) -> None:
        began = self.clock()
        loss = self.trainer.step(record.steps_done)
        record.losses.append(loss)
        record.device_seconds += self.clock() - began
        self.tell(
            Progress(steps_done=record.steps_done, device_seconds=record.device_seconds, loss=loss)
        )

    def _save(self, record: Record) -> None:
        self.store.save(record, self.trainer.state())
        self.tell(Saved(steps_done=record.steps_done, device_seconds=record.device_seconds))

    def _finish(self, record: Record) -> None:
        self._save(record)
        files, figures = self.trainer.export(self.folder)
        curve = self.folder / "losses.txt"
        curve.write_text("".join(f"{loss!r}\n" for loss in record.losses))
        self.tell(
            Finished(
                steps_done=record.steps_done,
                device_seconds=record.device_seconds,
                files=(*files, curve.name),
                figures=figures,
            )
        )
