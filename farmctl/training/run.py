"""Run a training job in its folder: ``python -m farmctl.training.run JOB_FOLDER``.

Exit status 0: finished. 75: drained with a checkpoint. 1: failed, with the reason reported.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pydantic import BaseModel, ValidationError

from farmctl.errors import FarmError, StoreError
from farmctl.training import trainers
from farmctl.training.protocol import (
    CHECKPOINT_FILE,
    DRAIN,
    EXIT_DRAINED,
    JOB_FILE,
    Failed,
    JobSpec,
)
from farmctl.training.trainer import Loop, Trainer

DEFAULT_CHECKPOINT_STEPS = 25


def trainer_kinds() -> tuple[str, ...]:
    """Kinds of jobs that this build can train."""
    return tuple(m.name.replace("_", "-") for m in pkgutil.iter_modules(trainers.__path__))


def create_trainer(spec: JobSpec) -> Trainer:
    module = importlib.import_module(f"{trainers.__name__}.{spec.kind.replace('-', '_')}")
    trainer: Trainer = module.create(spec)
    return trainer


def tell(line: BaseModel) -> None:
    sys.stdout.write(line.model_dump_json() + "\n")
    sys.stdout.flush()


def watch_for_drain() -> threading.Event:
    """Set by ``drain`` on standard input, by its end (the runner is gone) and by SIGTERM."""
    asked = threading.Event()

    def read() -> None:
        # Not sys.stdin: a thread that holds its lock would spoil the interpreter's exit.
        heard = b""
        while DRAIN.encode() not in heard:
            piece = os.read(0, 4096)
            if not piece:
                break
            heard = heard[-len(DRAIN) :] + piece
        asked.set()

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=read, name="drain", daemon=True).start()
    return asked


def run(folder: Path) -> int:
    spec = JobSpec.model_validate_json((folder / JOB_FILE).read_bytes())
    if spec.kind not in trainer_kinds():
        raise ValueError(f"there is no trainer {spec.kind!r}; there are: {trainer_kinds()}")
    asked = watch_for_drain()
    steps = int(spec.parameters.get("checkpoint_steps", str(DEFAULT_CHECKPOINT_STEPS)))
    if steps < 1:
        raise ValueError(f"checkpoint_steps must be at least 1, not {steps}")
    trainer = create_trainer(spec)
    from farmctl.training.checkpoint import TorchCheckpoints

    store = TorchCheckpoints(folder / CHECKPOINT_FILE)
    loop = Loop(trainer, store, folder, spec.total_steps, steps, tell, asked.is_set)
    return 0 if loop.run() else EXIT_DRAINED


def main() -> int:
    try:
        return run(Path(sys.argv[1]))
    except StoreError as error:
        print(error, file=sys.stderr)
        return 1
    except (FarmError, ValidationError, ValueError, OSError) as error:
        tell(Failed(detail=str(error)))
        return 1


def leave(status: int) -> NoReturn:
    """End without tearing PyTorch down, which takes seconds in which the device could work
    already: every file is written and closed by now."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())
