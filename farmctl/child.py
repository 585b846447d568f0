"""A process that the supervisor keeps: started again with back-off whenever it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import logging.handlers
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from farmctl.errors import Unavailable

LOG_BYTES = 5 * 1024**2
LOG_FILES = 3
BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
#: A process that ran this long did not fail by starting: the next start need not wait longer.
STEADY_SECONDS = 10.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.1
#: ``prctl`` option: the signal to get when the parent dies.
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Spec:
    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], Awaitable[bool]]
    ready_seconds: float = 120.0


@dataclass
class Child:
    spec: Spec
    log_folder: Path
    echo: bool
    """Show its log on the terminal too."""
    restarts: int = 0
    _process: asyncio.subprocess.Process | None = None
    _keeping: asyncio.Task[None] | None = None
    _stopping: bool = False
    _log: logging.Logger = field(init=False)

    def __post_init__(self) -> None:
        self._log = open_log(self.spec.name, self.log_folder, self.echo)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises `Unavailable` with where to look."""
        self._keeping = asyncio.create_task(self._keep())
        began = time.monotonic()
        while not await self.spec.is_ready():
            if time.monotonic() - began > self.spec.ready_seconds:
                where = self.log_folder / f"{self.spec.name}.log"
                raise Unavailable(f"{self.spec.name} is not ready in time; see {where}")
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Ask it to end, and make it end where it does not within `STOP_SECONDS`."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            _signal(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                _signal(process, signal.SIGKILL)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        failures = 0
        while not self._stopping:
            began = time.monotonic()
            await self._run()
            if self._stopping:
                return
            if time.monotonic() - began > STEADY_SECONDS:
                failures = 0
            pause = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
            failures += 1
            self._log.warning("ended; starts again in %g s", pause)
            await asyncio.sleep(pause)
            self.restarts += 1

    async def _run(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone
            preexec_fn=_die_with_parent,
            limit=1024**2,
        )
        assert self._process.stdout is not None
        await self._copy_log(self._process.stdout)
        code = await self._process.wait()
        self._log.info("process %d ended with status %d", self._process.pid, code)

    async def _copy_log(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # one line beyond the limit: it is dropped
                continue
            if not line:
                return
            self._log.info("%s", line.decode(errors="replace").rstrip())


def open_log(name: str, folder: Path, echo: bool) -> logging.Logger:
    """A bounded, rotating log file per process."""
    folder.mkdir(parents=True, exist_ok=True)
    log = logging.Logger(f"up.{name}")
    kept = logging.handlers.RotatingFileHandler(
        folder / f"{name}.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES
    )
    log.addHandler(kept)
    if echo:
        shown = logging.StreamHandler(sys.stderr)
        shown.setFormatter(logging.Formatter(f"{name:>10} │ %(message)s"))
        log.addHandler(shown)
    return log


def _die_with_parent() -> None:
    """Runs in the child before exec: the kernel ends it when the supervisor is gone."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the process alone: it ends its own children in order."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
