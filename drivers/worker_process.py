"""The process behind `drivers.worker`: opens one session and answers its owner's calls.

Calls run in the main thread; a second one listens, so that a stop reaches a running search.
"""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from drivers import registry
from drivers.base import Capability, CuckooJob, CuckooSolution, Session
from drivers.errors import BadArgument, DriverError, NotSupported
from drivers.hashes import HashJob
from drivers.worker import SEARCHES, Kind


class Worker:
    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._calls: queue.Queue[tuple[int, str, tuple[Any, ...]]] = queue.Queue(maxsize=1)
        self._session: Session | None = None
        self._lock = threading.Lock()
        self._searching = 0
        self._stopped = 0
        """Number of the last call that was asked to stop."""

    def serve(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            self._channel.send(self._answer(*self._calls.get()))

    def _listen(self) -> None:
        while True:
            try:
                number, method, arguments = self._channel.recv()
            except (EOFError, OSError):
                os._exit(0)
            if method == "stop":
                self._stop(number)
            else:
                self._calls.put((number, method, arguments))

    def _answer(self, number: int, method: str, arguments: tuple[Any, ...]) -> tuple[Kind, object]:
        try:
            if method == "open":
                self._open(*arguments)
                return Kind.SUCCEEDED, None
            if method in SEARCHES:
                return Kind.SUCCEEDED, self._search(number, method, *arguments)
            if method == "run_many":
                return Kind.SUCCEEDED, self._run_many(*arguments)
            return Kind.SUCCEEDED, self._method(method)(*arguments)
        except DriverError as error:
            return Kind.FAILED, error
        except Exception as error:  # noqa: BLE001 - top of the loop: the owner decides
            return Kind.FAILED, DriverError(f"{method} failed: {type(error).__name__}: {error}")

    def _open(
        self, family: str, device_id: str, capability: Capability, options: dict[str, Any]
    ) -> None:
        if self._session is not None:
            raise BadArgument("the session is open already")
        device = registry.find_device(family, device_id)
        self._session = device.open(capability, **options)

    def _run_many(self, model_id: str, inputs: list[bytes]) -> list[bytes]:
        """One after another, unless the session knows how to overlap them."""
        if many := getattr(self._session, "run_many", None):
            return list(many(model_id, inputs))
        run = self._method("run")
        return [run(model_id, data) for data in inputs]

    def _search(
        self, number: int, method: str, job: CuckooJob | HashJob, first_nonce: int, count: int
    ) -> tuple[int, list[CuckooSolution] | list[int]]:
        with self._lock:
            self._searching = number
            self._interrupt(self._stopped >= number)
        searched: tuple[int, list[CuckooSolution] | list[int]] = self._method(method)(
            job, first_nonce, count, lambda: self._stopped >= number, self._tell
        )
        return searched

    def _tell(self, solution: CuckooSolution | int) -> None:
        self._channel.send((Kind.FOUND, solution))

    def _stop(self, number: int) -> None:
        with self._lock:
            self._stopped = number
            if self._searching == number:
                self._interrupt(True)

    def _interrupt(self, stopped: bool) -> None:
        """A session whose search can end within a graph has a method ``stop(bool)``."""
        if stop := getattr(self._session, "stop", None):
            stop(stopped)

    def _method(self, name: str) -> Any:
        if (method := getattr(self._session, name, None)) is None:
            raise NotSupported(f"this session cannot {name}")
        return method


def _end_with_owner(lifeline: int) -> None:
    """Have the kernel end this process when the pipe's last writer is gone."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)


def main() -> None:
    channel, lifeline = (int(argument) for argument in sys.argv[1:])
    _end_with_owner(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to deal with
    os.dup2(2, 1)  # what a vendor's library prints is log, not output
    Worker(Connection(channel)).serve()


if __name__ == "__main__":
    main()
