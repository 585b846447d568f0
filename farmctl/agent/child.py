"""A runner process as its agent sees it: kept alive, told what to do, listened to."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable

from farmctl.agent.faults import Backoff
from farmctl.agent.lines import LINE_BYTES, Assign, Report, encode_line, parse_report

log = logging.getLogger(__name__)
#: How long a runner may take to drain and leave before it is killed.
LEAVE_SECONDS = 35.0


class RunnerChild:
    """Starts the runner of a device and, when it dies, starts it again and repeats the last
    command. ``heard`` gets each report, ``died`` the exit status."""

    def __init__(
        self, device_id: str, heard: Callable[[Report], None], died: Callable[[int], None]
    ) -> None:
        self._device_id = device_id
        self._heard = heard
        self._died = died
        self._process: asyncio.subprocess.Process | None = None
        self._last: Assign | None = None
        self._leaving = False
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    def assign(self, command: Assign) -> None:
        """Say what to do; a runner that starts later hears it then."""
        self._last = command
        self._send(command)

    def restart(self) -> None:
        """End the process; it is started again with the last command."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """Have it drain and leave; kill it when it takes too long."""
        self._leaving = True
        process = self._process
        if process is not None and process.returncode is None and process.stdin is not None:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), LEAVE_SECONDS)
            except TimeoutError:
                process.kill()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def _keep(self) -> None:
        backoff = Backoff()
        while not self._leaving:
            began = time.monotonic()
            try:
                status = await self._live()
            except OSError as error:
                log.error("cannot start the runner of %s: %s", self._device_id, error)
                status = -1
            if self._leaving:
                return
            self._died(status)
            await asyncio.sleep(backoff.next_seconds(time.monotonic() - began))

    async def _live(self) -> int:
        """One life of the process; its exit status."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "farmctl.agent.runner",
            self._device_id,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            start_new_session=True,
        )
        self._process = process
        if self._last is not None:
            self._send(self._last)
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                self._heard(parse_report(line))
            except ValueError:
                log.error("%s: its runner wrote what is no report", self._device_id)
        return await process.wait()

    def _send(self, command: Assign) -> None:
        process = self._process
        if process is None or process.returncode is not None or process.stdin is None:
            return
        if not process.stdin.is_closing():
            process.stdin.write(encode_line(command))
