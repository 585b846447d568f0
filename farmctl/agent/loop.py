"""The agent of a rig: finds its devices, keeps its plan, runs it, and reports.

It needs neither the controller nor the bus to go on: the last plan is on its disk, and events
wait in its outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import time
from dataclasses import replace
from pathlib import Path

from drivers.base import Device
from farmctl.agent.hardware import Findings, Hardware, discover
from farmctl.agent.link import BusLink
from farmctl.agent.outbox import Outbox
from farmctl.agent.parts import RigParts
from farmctl.agent.plan_file import PlanFile
from farmctl.agent.post import Post, idle_assignment
from farmctl.agent.profiles import Profiles
from farmctl.agent.proofs import Proofs
from farmctl.agent.reboot import LastSteps, Rebooter
from farmctl.agent.sandbox import probe_room
from farmctl.agent.settings import Originals
from farmctl.config import Config
from farmctl.domain import Workload
from farmctl.errors import BadRequest, BusError, Conflict, StoreError
from farmctl.messages import (
    DeviceAck,
    DeviceReport,
    FamilyReport,
    FaultEvent,
    InventoryReport,
    JobProgress,
    ReadingBatch,
    RigPlan,
    ShareEvent,
)
from farmctl.tuning.records import TuningFile
from node.tasks import end_tasks

log = logging.getLogger(__name__)
REPORT_SECONDS = 10.0
TICK_SECONDS = 1.0
#: A device that was there and is not found any more is reported as lost for as long as the
#: agent lives; at most so many.
LOST_LIMIT = 256


def boot_id() -> str:
    """Tells one boot of the machine from the next (Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def agent_version() -> str:
    try:
        return importlib.metadata.version("farmctl")
    except importlib.metadata.PackageNotFoundError:
        return "from source"


class Agent:
    def __init__(self, config: Config, link: BusLink, hardware: Hardware) -> None:
        self._config = config
        self._rig = config.farm.rig
        self._link = link
        self._hardware = hardware
        self._folder = config.home / "rig"
        self._plan = PlanFile(self._folder / "plan.json", self._rig)
        self._outbox = Outbox(self._folder / "outbox.db", self._rig)
        self._parts = RigParts(
            hardware=hardware,
            proofs=Proofs(self._folder / "proofs.json"),
            originals=Originals(self._folder / "settings.json"),
            profile=Profiles(config.rig, TuningFile(self._folder)).find,
            tell=self._tell,
            room_reason="",
        )
        rebooter = Rebooter(self._folder / "reboots.json", config.rig, time.time)
        self._last_steps = LastSteps(
            rebooter, self._needs_reboot, self._drain, self._is_idle, self._tell_fault
        )
        self._draining = False
        self._posts: dict[str, Post] = {}
        self._lost: dict[str, DeviceReport] = {}
        self._families: tuple[FamilyReport, ...] = ()
        self._reported = 0.0
        self._stir = asyncio.Event()
        """Set when devices may have come or gone."""
        self._boot_id = boot_id()
        self._version = agent_version()

    @property
    def device_ids(self) -> frozenset[str]:
        """Devices that are there now."""
        return frozenset(self._posts)

    async def run(self) -> None:
        """Until cancelled; then every runner has drained and left."""
        reason = await asyncio.to_thread(probe_room, self._folder / "room")
        if reason:
            log.warning("no training here: %s", reason)
        self._parts = replace(self._parts, room_reason=reason)
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._look_for_devices()
            work = (self._outbox.send(self._link), self._watch_plans(), self._watch_devices(),
                    self._report(), self._mend_rig())  # fmt: skip
            tasks = [asyncio.create_task(each) for each in work]
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await end_tasks(*tasks)
            await asyncio.gather(*(post.stop() for post in self._posts.values()))
            self._outbox.close()

    async def _watch_plans(self) -> None:
        bus = await self._link.wait()
        while True:
            try:
                async for plan in bus.watch("plans", self._rig, RigPlan):
                    self._take_plan(plan)
            except BusError as error:
                log.info("plans cannot be watched: %s", error)
                await asyncio.sleep(TICK_SECONDS)

    def _take_plan(self, plan: RigPlan) -> None:
        try:
            if self._plan.accept(plan):
                self._apply_plan()
        except (Conflict, BadRequest, StoreError) as error:
            log.error("plan %d: %s", plan.number, error)

    def _apply_plan(self) -> None:
        plan = self._plan.plan
        if plan is None:
            return
        assignments = {one.device: one for one in plan.assignments}
        for device_id, post in self._posts.items():
            idle = idle_assignment(device_id, "not in the plan")
            if self._draining:
                assignments[device_id] = idle_assignment(device_id, "the rig is to be rebooted")
            post.assign(assignments.get(device_id, idle), plan.number)
        for device_id in assignments.keys() - self._posts.keys():
            self._refuse(assignments[device_id].workload, device_id, plan.number)

    def _refuse(self, workload: str, device_id: str, plan_number: int) -> None:
        ack = {
            "device": device_id,
            "plan_number": plan_number,
            "workload": workload,
            "state": "failed",
            "seconds": 0.0,
            "detail": f"rig {self._rig} has no device {device_id}",
        }
        self._tell(DeviceAck.model_validate(ack))

    async def _watch_devices(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stir.wait(), REPORT_SECONDS)
                await asyncio.sleep(TICK_SECONDS)  # One look for a burst of events.
            self._stir.clear()
            await self._look_for_devices()

    async def _look_for_devices(self) -> None:
        loop = asyncio.get_running_loop()

        def changed(reason: str) -> None:
            log.info("devices may have changed: %s", reason)
            loop.call_soon_threadsafe(self._stir.set)

        try:
            if await self._take_in(await discover(self._hardware, changed)):
                self._apply_plan()
        except TimeoutError:
            log.error("looking for devices hangs in a driver; keeping those that are known")

    async def _take_in(self, findings: Findings) -> bool:
        """Open a post for each new device, close those of vanished ones; whether any changed."""
        self._families = tuple(
            FamilyReport(
                family=one.name,
                status=one.probe.status.value,
                reason=one.probe.reason,
                seconds=one.seconds,
            )
            for one in findings.families
        )
        present = {device.info.id: device for device in findings.devices}
        changed = False
        for device_id, post in list(self._posts.items()):
            device = present.get(device_id)
            if device is None or device.info.hardware_id != post.info.hardware_id:
                await self._close(device_id)
                changed = True
        for device_id, device in present.items():
            if device_id not in self._posts:
                self._open(device)
                changed = True
        self._reported = 0.0 if changed else self._reported
        return changed

    def _open(self, device: Device) -> None:
        post = Post(device, self._parts)
        self._posts[device.info.id] = post
        self._lost.pop(device.info.id, None)
        post.start()

    async def _close(self, device_id: str) -> None:
        post = self._posts.pop(device_id)
        await post.stop()
        gone = {
            "health": "lost",
            "health_reason": "no longer found on this rig",
            "workload": Workload.IDLE,
            "job_id": None,
        }
        self._lost[device_id] = post.report().model_copy(update=gone)
        while len(self._lost) > LOST_LIMIT:
            del self._lost[next(iter(self._lost))]
        self._tell_fault(device_id, "device_lost", "unassign", "not found")

    async def _mend_rig(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            await self._last_steps.look()

    def _needs_reboot(self) -> dict[str, str]:
        needs = {device_id: post.needs_reboot() for device_id, post in self._posts.items()}
        return {device_id: why for device_id, why in needs.items() if why}

    def _drain(self, start: bool) -> None:
        self._draining = start
        self._apply_plan()

    def _is_idle(self) -> bool:
        return all(post.is_idle for post in self._posts.values())

    async def _report(self) -> None:
        """Readings each second; the inventory on change, and every `REPORT_SECONDS`."""
        await self._link.wait()
        while True:
            try:
                await self._publish_readings()
                if self._inventory_is_due():
                    await self._publish_inventory()
            except BusError as error:
                log.info("not reported: %s", error)
            await asyncio.sleep(TICK_SECONDS)

    async def _publish_readings(self) -> None:
        readings = tuple(r for post in self._posts.values() if (r := post.reading()) is not None)
        if readings:
            batch = ReadingBatch(rig=self._rig, readings=readings)
            await self._link.now().publish(f"reading.{self._rig}", batch)

    def _inventory_is_due(self) -> bool:
        late = time.monotonic() - self._reported >= REPORT_SECONDS
        return late or any(post.changed for post in self._posts.values())

    async def _publish_inventory(self) -> None:
        for post in self._posts.values():
            post.changed = False
        devices = [post.report() for post in self._posts.values()]
        report = InventoryReport(
            rig=self._rig,
            site=self._config.farm.site,
            boot_id=self._boot_id,
            at=time.time(),
            agent_version=self._version,
            plan_number=self._plan.number,
            families=self._families,
            devices=(*devices, *self._lost.values()),
        )
        await self._link.now().publish(f"inventory.{self._rig}", report)
        self._reported = time.monotonic()

    def _tell_fault(self, device_id: str, code: str, step: str, detail: str) -> None:
        self._tell(FaultEvent(device=device_id, code=code, step=step, detail=detail))

    def _tell(self, body: DeviceAck | ShareEvent | JobProgress | FaultEvent) -> None:
        try:
            self._outbox.put(body)
        except StoreError as error:
            log.error("an event is lost: %s", error)
