"""People's requests for devices: switch, unlock, pause, resume, clear. Each is only a new wish; the
planner decides, and the rig confirms."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from farmctl import planner
from farmctl.domain import DeviceKey, Plan, Wish, Workload
from farmctl.errors import BadRequest, NotFound, Refused
from farmctl.planner.assign import NEEDS
from farmctl.sections import PlannerSection
from farmctl.store import Store, Transaction, audit, inventory, jobs, policy
from farmctl.store.policy import Switch


@dataclass
class Requests:
    store: Store
    settings: PlannerSection
    decide: Callable[[], Awaitable[Plan | None]]
    clock: Callable[[], float] = time.time

    def rules(self, tx: Transaction) -> planner.Policy:
        return planner.Policy(
            wishes=tuple(policy.wishes(tx, self.clock())),
            paused=policy.paused(tx),
            quarantined=policy.quarantined(tx, self.clock()),
            switch_threshold_ratio=self.settings.switch_threshold_ratio,
            minimum_dwell_seconds=self.settings.minimum_dwell_seconds,
            horizon_seconds=self.settings.horizon_seconds,
        )

    async def switch(
        self,
        device: DeviceKey,
        workload: Workload,
        lock: bool,
        until: float | None,
        by: str,
    ) -> Switch:
        """Ask for a workload. Without a lock the wish holds for the minimum dwell, as long as
        nothing is sold. Raises `NotFound` for an unknown device, `Refused` for a workload it has
        not proved, and for taking it from a job without a lock."""
        now = self.clock()
        if until is not None and until <= now:
            raise BadRequest("`until` lies in the past")
        if until is None and not lock:
            until = now + self.settings.minimum_dwell_seconds
        wish = Wish(device, workload, lock, by, now, until)

        def change(tx: Transaction) -> None:
            _check_can(tx, device, workload)
            if not lock:
                _check_unsold(tx, device, workload)
            policy.set_wish(tx, wish)

        action = "switch"
        return await self._ask(device, action, workload, by, change, "locked" if lock else "")

    async def unlock(self, device: DeviceKey, by: str) -> Switch:
        """Take back a wish or lock; the planner is free again."""
        return await self._ask(device, "unlock", None, by, lambda tx: policy.clear_wish(tx, device))

    async def pause(self, device: DeviceKey, by: str) -> Switch:
        def change(tx: Transaction) -> None:
            policy.pause(tx, device, by, self.clock())

        return await self._ask(device, "pause", Workload.IDLE, by, change)

    async def resume(self, device: DeviceKey, by: str) -> Switch:
        return await self._ask(device, "resume", None, by, lambda tx: policy.resume(tx, device))

    async def clear(self, device: DeviceKey, by: str) -> Switch:
        """End a quarantine: the device is tested again, and works if it passes. Raises
        `Refused` where it is not in quarantine."""

        def change(tx: Transaction) -> None:
            if not policy.clear_quarantine(tx, device):
                raise Refused(f"{device} is not in quarantine")

        return await self._ask(device, "clear", None, by, change)

    async def _ask(
        self,
        device: DeviceKey,
        action: str,
        workload: Workload | None,
        by: str,
        change: Callable[[Transaction], None],
        detail: str = "",
    ) -> Switch:
        now = self.clock()
        switch = Switch(secrets.token_hex(8), device, action, workload, now, by)
        with self.store.begin() as tx:
            if inventory.find_device(tx, device) is None:
                raise NotFound(f"there is no device {device}; `farmctl status` lists them")
            change(tx)
            policy.add_switch(tx, switch)
            audit.append(tx, now, by, action, device, f"{workload or ''} {detail}".strip())
        await self.decide()
        with self.store.begin() as tx:
            return policy.find_switch(tx, switch.id) or switch


def _check_can(tx: Transaction, device: DeviceKey, workload: Workload) -> None:
    record = inventory.find_device(tx, device)
    need = NEEDS.get(workload)
    if workload is Workload.EXTERNAL:
        raise Refused("external miners are not supported by this version")
    if record is not None and need is not None and need not in record.device.proved:
        raise Refused(
            f"{device} has not proved `{need}`, which {workload} needs; see its self-tests"
        )


def _check_unsold(tx: Transaction, device: DeviceKey, workload: Workload) -> None:
    held = next((r.job for r in jobs.open_jobs(tx) if r.job.device == device), None)
    if held is not None and workload is not Workload.TRAIN:
        raise Refused(f"{device} runs the sold job {held.name}; lock it to take it from the job")
