"""The last steps of the ladder: drain the rig and reboot it, where its owner allows that."""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
from collections.abc import Callable
from pathlib import Path

from farmctl.agent.faults import DAY_SECONDS
from farmctl.errors import StoreError
from farmctl.files import write_atomic
from farmctl.sections import RigSection

log = logging.getLogger(__name__)
#: How long work may take to come to its end, and the machine to go down.
DRAIN_SECONDS = 120.0
DOWN_SECONDS = 300.0
LOOK_SECONDS = 1.0
MAX_KEPT = 100


class Rebooter:
    """Reboots within their budget, which is kept on the disk."""

    def __init__(self, path: Path, section: RigSection, clock: Callable[[], float]) -> None:
        self._path = path
        self._command = shlex.split(section.reboot_command)
        self._per_day = section.reboots_per_day
        self._clock = clock

    def why_not(self) -> str:
        """Why the rig may not be rebooted now; empty where it may."""
        if not self._command:
            return "set `reboot_command` in [rig] to let the farm reboot this rig"
        recent = [at for at in self._read() if at > self._clock() - DAY_SECONDS]
        if len(recent) >= self._per_day:
            return f"it was rebooted {len(recent)} times within a day already"
        return ""

    async def reboot(self) -> str:
        """Run the command; return why it failed, or an empty text. The attempt is counted before
        it is made. Raises `StoreError` where it cannot be."""
        times = [*self._read(), self._clock()][-MAX_KEPT:]
        await asyncio.to_thread(write_atomic, self._path, json.dumps(times).encode())
        log.warning("rebooting the rig")
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
            status = await asyncio.wait_for(process.wait(), DOWN_SECONDS)
        except (OSError, TimeoutError) as error:
            return f"{self._command[0]}: {error or 'still running'}"
        return f"{self._command[0]} ended with status {status}" if status else ""

    def _read(self) -> list[float]:
        try:
            return [float(at) for at in json.loads(self._path.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            # Unknown means none is left, lest a rig reboots for ever.
            log.error("%s cannot be read, so the rig is not rebooted: %s", self._path, error)
            return [self._clock()] * MAX_KEPT


class LastSteps:
    """Decides over one rig: ``needs`` tells each device that needs a reboot, and why;
    ``drain`` stops (True) or starts (False) all work; ``is_idle`` says when it has stopped;
    ``tell`` reports device, code, step and detail."""

    def __init__(
        self,
        rebooter: Rebooter,
        needs: Callable[[], dict[str, str]],
        drain: Callable[[bool], None],
        is_idle: Callable[[], bool],
        tell: Callable[[str, str, str, str], None],
    ) -> None:
        self._rebooter, self._needs = rebooter, needs
        self._drain, self._is_idle, self._tell = drain, is_idle, tell
        self._told: set[str] = set()

    async def look(self) -> None:
        """Reboot if a device needs it and it may be; else say once per device why not."""
        needs = self._needs()
        self._told &= needs.keys()
        why_not = self._rebooter.why_not() if needs else ""
        for device in needs.keys() - self._told:
            if why_not:
                self._told.add(device)
                self._tell(device, "reboot_needed", "left_alone", f"{needs[device]}; {why_not}")
        if needs and not why_not:
            await self._drain_and_reboot()

    async def _drain_and_reboot(self) -> None:
        device, why = next(iter(self._needs().items()))
        self._tell(device, "reboot_needed", "drain", why)
        self._drain(True)
        try:
            if await self._wait_until_idle():
                self._tell(device, "reboot_needed", "reboot", why)
                error = await self._reboot()
                self._tell(device, "reboot_failed", "undo_drain", error)
            else:
                self._tell(device, "reboot_called_off", "undo_drain", "the device has recovered")
        finally:
            self._drain(False)

    async def _reboot(self) -> str:
        try:
            error = await self._rebooter.reboot()
        except StoreError as failure:
            return str(failure)
        if not error:
            await asyncio.sleep(DOWN_SECONDS)
        return error or f"the rig is still up {DOWN_SECONDS:.0f} s after the command"

    async def _wait_until_idle(self) -> bool:
        """False where no device needs the reboot any more."""
        for _ in range(int(DRAIN_SECONDS / LOOK_SECONDS)):
            if not self._needs():
                return False
            if self._is_idle():
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return bool(self._needs())
