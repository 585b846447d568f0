"""A device session in a process of its own, so that a hang or a crash stays contained.

The worker (`drivers.worker_process`) is spoken to over an anonymous socket
pair in pickled messages: both ends are this same program under the same user, so nothing
foreign is ever unpickled. It ends with its owner, whatever either is doing: the kernel signals
it when the last writer of the lifeline pipe is gone, even while a device call hangs.
(PR_SET_PDEATHSIG would follow the *thread* that started the worker, which may end earlier.)
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from drivers.base import Capability, CuckooJob, CuckooSolution, Found
from drivers.errors import DeadlineExceeded, DeviceLost, DriverError
from drivers.hashes import HashJob
from drivers.program import Program

START_SECONDS = 60.0
#: How often ``should_stop`` is asked; `WorkerSession.stop` does not wait for it.
POLL_SECONDS = 0.05
#: Methods that tell what they find while they run, and can be stopped.
SEARCHES = ("search", "scan")


class Kind(Enum):
    """What a worker says."""

    FOUND = "found"
    """A cycle, while a search goes on."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class _Hears:
    """What a search asks of its caller, and tells it, while it lasts."""

    should_stop: Callable[[], bool]
    found: Callable[[Any], None] | None


class WorkerSession:
    """A session in a worker. It has the methods of every kind of session; one that the
    opened capability lacks raises `NotSupported`. One call at a time, except `stop`.

    Every call raises `DeadlineExceeded` after ``deadline_seconds`` and `DeviceLost` if the
    worker died; in both cases the session is over and must be opened anew.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], channel: Connection, lifeline: int
    ) -> None:
        self._process = process
        self._channel = channel
        self._lifeline = lifeline
        self._calls = 0
        self._sending = threading.Lock()
        self._searching = False
        self._stopped = False
        self.deadline_seconds = START_SECONDS

    @property
    def pid(self) -> int:
        return self._process.pid

    def search(
        self,
        job: CuckooJob,
        first_nonce: int,
        graphs: int,
        should_stop: Callable[[], bool],
        found: Found | None = None,
    ) -> tuple[int, list[CuckooSolution]]:
        hears = _Hears(should_stop, found)
        answer = self._seek("search", job, first_nonce, graphs, hears=hears)
        return cast(tuple[int, list[CuckooSolution]], answer)

    def scan(
        self,
        job: HashJob,
        first_nonce: int,
        nonces: int,
        should_stop: Callable[[], bool],
        found: Callable[[int], None] | None = None,
    ) -> tuple[int, list[int]]:
        hears = _Hears(should_stop, found)
        answer = self._seek("scan", job, first_nonce, nonces, hears=hears)
        return cast(tuple[int, list[int]], answer)

    def verify(self, job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool:
        return bool(self._call("verify", job, nonce, tuple(edges)))

    def load(self, model_id: str, program: Program) -> None:
        self._call("load", model_id, program)

    def recall(self, model_id: str) -> bool:
        """Make a model resident from what an earlier `load` of this id left on disk. Raises
        `NotSupported` for a session that leaves nothing there."""
        return bool(self._call("recall", model_id))

    def unload(self, model_id: str) -> None:
        self._call("unload", model_id)

    def run(self, model_id: str, data: bytes) -> bytes:
        return cast(bytes, self._call("run", model_id, data))

    def run_many(self, model_id: str, inputs: Sequence[bytes]) -> list[bytes]:
        """`run` of each input, in one call of the worker."""
        return cast(list[bytes], self._call("run_many", model_id, list(inputs)))

    def gradient(self, x: NDArray[np.int32], w: NDArray[np.int32]) -> NDArray[np.int32]:
        return cast(NDArray[np.int32], self._call("gradient", x, w))

    def release(self) -> None:
        """Free the device memory that is held between searches; the next one takes it again.
        Raises `NotSupported` for a session that can only free it by closing."""
        self._call("release")

    def stop(self) -> None:
        """From any thread: end the running search at its next trimming round, or the next one
        at once."""
        with self._sending:
            self._stopped = True
            if self._searching:
                with contextlib.suppress(OSError):  # The search itself finds the worker gone.
                    self._channel.send((self._calls, "stop", ()))

    def close(self) -> None:
        """End the worker. Safe to repeat, and after a failure."""
        if self._lifeline < 0:
            return
        self._process.kill()
        self._process.wait()
        self._channel.close()
        os.close(self._lifeline)
        self._lifeline = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seek(self, method: str, *arguments: object, hears: _Hears) -> object:
        try:
            return self._call(method, *arguments, hears=hears)
        finally:
            with self._sending:
                self._searching = self._stopped = False

    def _call(self, method: str, *arguments: object, hears: _Hears | None = None) -> object:
        if self._lifeline < 0:
            raise DeviceLost("the session is closed; open a new one")
        try:
            self._send(method, arguments)
            succeeded, answer = self._await_answer(hears)
        except (EOFError, OSError):
            self.close()
            status = self._process.returncode
            raise DeviceLost(f"the worker ended during {method} (status {status})") from None
        if not succeeded:
            raise cast(DriverError, answer)
        return answer

    def _send(self, method: str, arguments: tuple[object, ...]) -> None:
        with self._sending:
            self._calls += 1
            self._channel.send((self._calls, method, arguments))
            self._searching = method in SEARCHES
            if self._searching and self._stopped:
                self._channel.send((self._calls, "stop", ()))

    def _await_answer(self, hears: _Hears | None) -> tuple[bool, object]:
        deadline = time.monotonic() + self.deadline_seconds
        while True:
            if self._channel.poll(POLL_SECONDS if hears else self.deadline_seconds):
                kind, content = self._channel.recv()
                if kind is not Kind.FOUND:
                    return kind is Kind.SUCCEEDED, content
                if hears and hears.found:
                    hears.found(content)
            elif time.monotonic() >= deadline:
                self.close()
                raise DeadlineExceeded(
                    f"no answer in {self.deadline_seconds:g} s; the worker was ended"
                )
            if hears and not self._stopped and hears.should_stop():
                self.stop()


def open_session(
    family: str,
    device_id: str,
    capability: Capability,
    deadline_seconds: float = 60.0,
    **options: Any,
) -> WorkerSession:
    """Open a device's session in a new worker; ``options`` go to `Device.open`.

    Raises what `Device.open` raises, `BadArgument` for an unknown device, and
    `DeadlineExceeded` if the device does not open in time.
    """
    session = _start()
    try:
        session._call("open", family, device_id, capability, options)
    except DriverError:
        session.close()
        raise
    session.deadline_seconds = deadline_seconds
    return session


def _start() -> WorkerSession:
    ours, theirs = socket.socketpair()
    lifeline_read, lifeline_write = os.pipe()
    here = str(Path(__file__).resolve().parents[1])
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    descriptors = (theirs.fileno(), lifeline_read)
    with theirs, os.fdopen(lifeline_read, "rb"):
        process = subprocess.Popen(
            [sys.executable, "-m", "drivers.worker_process", *map(str, descriptors)],
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    return WorkerSession(process, Connection(ours.detach()), lifeline_write)
