"""The folder of a training job on a rig: its spec, its checkpoint, and whose turn it is."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import stat
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from farmctl.errors import BadRequest, Conflict, StoreError, Unavailable
from farmctl.files import sweep, write_atomic
from farmctl.training.protocol import CHECKPOINT_FILE, JOB_FILE, JobSpec

LOCK_SECONDS = 10.0
#: Newest checkpoints remembered by id.
HISTORY_LIMIT = 1000
#: Jobs whose folders stay on the rig.
FOLDERS_KEPT = 50
#: Largest checkpoint or result.
FILE_LIMIT_BYTES = 4 * 2**30
_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


class Attempts(BaseModel):
    """What the rig knows of a job beside its checkpoint."""

    model_config = ConfigDict(extra="forbid")
    generation: int = 0
    checkpoints: list[str] = []
    """Ids of checkpoints written or fetched here, oldest first."""
    crashes: int = 0
    """In a row without a new checkpoint."""


class JobFolder:
    """``room`` is all that the job itself can see and write."""

    def __init__(self, rig_folder: Path, job_id: str) -> None:
        if not _ID.match(job_id):
            raise BadRequest(f"{job_id!r} is no job id")
        self.path = rig_folder / "jobs" / job_id
        self.room = self.path / "room"
        self._lock: int | None = None
        self.attempts = Attempts()

    @property
    def checkpoint(self) -> Path:
        return self.room / CHECKPOINT_FILE

    async def enter(self, generation: int, spec: JobSpec) -> None:
        """Take the job over for ``generation``, once every earlier attempt has ended here.

        Raises `Conflict` for an older generation and `Unavailable` when an earlier attempt
        does not end.
        """
        try:
            self.room.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"Cannot make {self.room}: {error.strerror}") from error
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        await self._wait_for_lock(self._lock)
        for path in (self.checkpoint, self.room / JOB_FILE, self._attempts_path):
            sweep(path)
        self.attempts = self._read_attempts()
        if generation < self.attempts.generation:
            raise Conflict(
                f"generation {generation} of the job is over: {self.attempts.generation} has begun"
            )
        if generation > self.attempts.generation:
            self.attempts.generation = generation
            self.attempts.crashes = 0
        write_atomic(self.room / JOB_FILE, spec.model_dump_json().encode())
        self.save()

    @property
    def _attempts_path(self) -> Path:
        return self.path / "attempts.json"

    @property
    def lock(self) -> int:
        """Held by the job's own processes as well, so that none outlives its turn."""
        assert self._lock is not None
        return self._lock

    def leave(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def knows(self, artifact: str) -> bool:
        """Whether this rig has come by that checkpoint; its own is then as new or newer."""
        return artifact in self.attempts.checkpoints and self.checkpoint.exists()

    def note_checkpoint(self) -> tuple[str, bytes]:
        """The checkpoint that lies there now: its id and content."""
        content = read_plain_file(self.checkpoint)
        artifact = hashlib.sha256(content).hexdigest()
        if artifact not in self.attempts.checkpoints:
            self.attempts.checkpoints = [*self.attempts.checkpoints, artifact][-HISTORY_LIMIT:]
            self.attempts.crashes = 0
            self.save()
        return artifact, content

    def save(self) -> None:
        write_atomic(self._attempts_path, self.attempts.model_dump_json().encode())

    def _read_attempts(self) -> Attempts:
        try:
            return Attempts.model_validate_json(self._attempts_path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return Attempts()

    async def _wait_for_lock(self, lock: int) -> None:
        for _ in range(int(LOCK_SECONDS / 0.1)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                await asyncio.sleep(0.1)
        raise Unavailable("an earlier attempt of the job has not ended yet on this rig")


def forget_old_folders(rig_folder: Path, keep: int = FOLDERS_KEPT) -> None:
    """Remove the folders of jobs that were longest without change, except those at work. What
    a job needs to go on elsewhere, or here again, is with the controller."""
    folders = [path for path in (rig_folder / "jobs").glob("*") if path.is_dir()]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[keep:]:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue  # at work
        finally:
            os.close(lock)


def read_plain_file(path: Path, limit_bytes: int = FILE_LIMIT_BYTES) -> bytes:
    """A file that a job has written. A link, a pipe or a device in its place is refused, for a
    job must not have the agent read what it cannot read itself. Raises `StoreError`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            kind = os.fstat(handle)
            if not stat.S_ISREG(kind.st_mode) or kind.st_size > limit_bytes:
                raise StoreError(f"{path.name} is no plain file of at most {limit_bytes} bytes")
            return file.read(limit_bytes)
    except OSError as error:
        raise StoreError(f"Cannot read {path.name}: {error.strerror}") from error
