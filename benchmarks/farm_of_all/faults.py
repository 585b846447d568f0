"""The matrix of faults: what is done to which device, and what has to come of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.farm_of_all.machine import address_of
from benchmarks.farm_of_all.site import Site
from farmctl.errors import FarmError

#: The step that was taken, once it was; empty before. Gets the moment of the fault.
Seen = Callable[[Site, float], Awaitable[str]]
HEAT_BIT = 0x40
#: What this device infers wrongly gets out now and then, for it is checked by samples: the node
#: compares each with the reference and takes none, as is done here.
INFERS_WRONGLY = "fpga:0"
#: A device that works on is watched for so long before it is believed.
GOES_ON_SECONDS = 5.0
CLIMB = ("restart_session", "restart_session", "restart_runner", "lower_power", "quarantine")


@dataclass(frozen=True)
class Fault:
    name: str
    device: str
    inject: Callable[[Site], None]
    seen: Seen
    step: str
    heal: Callable[[Site], None] = lambda site: None
    stays_out: bool = False
    """Whether the device does not work any more afterwards."""
    seconds: float = 60.0
    is_long: bool = False


def event(device: str, code: str, step: str = "") -> Seen:
    """The first step of that code; ``step`` waits for a certain one."""

    async def seen(site: Site, since: float) -> str:
        found = (f.step for f in site.faults_of(device, since) if f.code == code)
        return next((one for one in found if step in ("", one)), "")

    return seen


def stopped(device: str) -> Seen:
    """The planner has taken its work away because of its health."""

    async def seen(site: Site, since: float) -> str:
        view = await look(site, device)
        return "stopped" if view.get("state") != "healthy" and view["workload"] == "idle" else ""

    return seen


def refused(device: str) -> Seen:
    async def seen(site: Site, since: float) -> str:
        return "refused" if "self-test" in (await look(site, device)).get("reason", "") else ""

    return seen


def goes_on(device: str, health: str) -> Seen:
    """It is told, and the device works on."""

    async def seen(site: Site, since: float) -> str:
        if time.monotonic() - since < GOES_ON_SECONDS or site.faults_of(device, since):
            return ""
        found = site.inventory.devices if site.inventory else ()
        told = any(d.id == device and d.health == health and d.workload == "mine" for d in found)
        return "told" if told else ""

    return seen


def climbs(device: str) -> Seen:
    async def seen(site: Site, since: float) -> str:
        steps = tuple(f.step for f in site.faults_of(device, since) if f.code == "wrong_answer")
        return " → ".join(steps) if "quarantine" in steps else ""

    return seen


def repeated(device: str) -> Seen:
    """Damaged frames are counted; nobody else notices."""

    async def seen(site: Site, since: float) -> str:
        _, reading = site.readings[device]
        errors = reading.values.get("link_error_count", 0.0)
        return "sent again" if errors > 0 and not site.faults_of(device, since) else ""

    return seen


def left_alone(device: str) -> Seen:
    async def seen(site: Site, since: float) -> str:
        steps = [f.step for f in site.faults_of(device, since)]
        return " → ".join(steps) if "left_alone" in steps else ""

    return seen


async def look(site: Site, device: str) -> dict[str, str]:
    try:
        return await site.view(device)
    except FarmError:
        return {"workload": ""}


def xid(gpu: int, number: int) -> Callable[[Site], None]:
    def inject(site: Site) -> None:
        site.machine.nvml.event_gpu = gpu
        site.machine.nvml.event_xid = number

    return inject


def set_gpu(gpu: int, **fields: int) -> Callable[[Site], None]:
    def inject(site: Site) -> None:
        for name, value in fields.items():
            setattr(site.machine.nvml.gpus[gpu], name, value)

    return inject


def both(*parts: Callable[[Site], None]) -> Callable[[Site], None]:
    def inject(site: Site) -> None:
        for part in parts:
            part(site)

    return inject


def spoil(address: str, fault: str) -> Callable[[Site], None]:
    return lambda site: site.machine.spoil(address, fault)


def spoil_board(number: int, fault: str) -> Callable[[Site], None]:
    return lambda site: site.machine.spoil_board(number, fault)


def kill_worker(device: str) -> Callable[[Site], None]:
    return lambda site: os.kill(site.worker_of(device).pid, signal.SIGKILL)


def kill_runner(device: str) -> Callable[[Site], None]:
    return lambda site: os.kill(site.runner_of(device).pid, signal.SIGKILL)


def unplug_instinct(number: int) -> Callable[[Site], None]:
    def inject(site: Site) -> None:
        folder = site.machine.amd(number)
        folder.rename(site.machine.folder / f"unplugged{number}")

    return inject


def damage(stick: int, damages: bool) -> Callable[[Site], None]:
    return lambda site: setattr(site.machine.sticks[stick], "damages", damages)


FAULTS = (
    Fault("XID 13, a program's own", "cuda:0", xid(0, 13), goes_on("cuda:0", "ok"), "told"),
    Fault("XID 63, row remapped", "cuda:0", xid(0, 63), goes_on("cuda:0", "degraded"), "told"),
    Fault("XID 94, contained ECC", "cuda:1", xid(1, 94), goes_on("cuda:1", "degraded"), "told"),
    Fault("XID 48, double-bit ECC", "cuda:2", xid(2, 48), stopped("cuda:2"), "stopped",
          stays_out=True),
    Fault("XID 79, fallen off the bus", "cuda:3", both(set_gpu(3, failure=15), xid(3, 79)),
          stopped("cuda:3"), "stopped", stays_out=True),
    Fault("a call that hangs", "cuda:4", set_gpu(4, hang_ms=12_000), stopped("cuda:4"), "stopped",
          set_gpu(4, hang_ms=0)),
    Fault("slowed down by heat", "cuda:5", set_gpu(5, throttle_bits=HEAT_BIT),
          goes_on("cuda:5", "degraded"), "told", set_gpu(5, throttle_bits=0)),
    Fault("another writer of the power limit", "cuda:5", set_gpu(5, limit_mw=650_000),
          event("cuda:5", "setting_changed"), "set_again"),
    Fault("permission lost", "cuda:7", set_gpu(7, may_set_power=0, limit_mw=650_000),
          event("cuda:7", "setting_refused"), "left_alone"),
    Fault("a power limit that reverts", "cuda:6", set_gpu(6, reverts_power=1, limit_mw=700_000),
          left_alone("cuda:6"), "set_again → set_again → left_alone", set_gpu(6, reverts_power=0),
          seconds=120, is_long=True),
    Fault("a wrong cycle", "cuda:5", spoil(address_of(5), "wrong"),
          event("cuda:5", "wrong_answer"), "restart_session", spoil(address_of(5), "")),
    Fault("wrong cycles without end", "cuda:7", spoil(address_of(7), "wrong"), climbs("cuda:7"),
          " → ".join(CLIMB), spoil(address_of(7), ""), stays_out=True, seconds=240, is_long=True),
    Fault("session killed", "rocm:0", kill_worker("rocm:0"), event("rocm:0", "device_lost"),
          "restart_session"),
    Fault("gone in the middle of a graph", "rocm:1", spoil("0000:81:00.0", "gone"),
          event("rocm:1", "device_lost"), "restart_session", spoil("0000:81:00.0", "")),
    Fault("known answer wrong", "rocm:2", both(spoil("0000:82:00.0", "wrong always"),
          kill_worker("rocm:2")), refused("rocm:2"), "refused", stays_out=True),
    Fault("unplugged", "rocm:3", unplug_instinct(3), event("rocm:3", "device_lost"), "unassign",
          stays_out=True),
    Fault("a board that computes wrongly", "fpga:0", spoil_board(0, "wrong"),
          event("fpga:0", "wrong_answer"), "restart_session", spoil_board(0, "")),
    Fault("a board that is gone", "fpga:1", spoil_board(1, "gone"),
          event("fpga:1", "device_lost"), "restart_session", spoil_board(1, "")),
    Fault("damaged frames", "usbstick:0", damage(0, True), repeated("usbstick:0"), "sent again",
          damage(0, False)),
    Fault("unplugged in a request", "usbstick:1",
          lambda site: site.machine.sticks[1].unplug(),
          event("usbstick:1", "device_lost", "unassign"), "unassign", stays_out=True),
    Fault("runner killed", "cpu:0", kill_runner("cpu:0"), event("cpu:0", "runner_died"),
          "restart_runner"),
)  # fmt: skip
