"""Family ``usbstick``: serial sticks by pyserial, and others on the USB bus that are known.

They are found and told apart only: the protocol of our firmware is not spoken yet, so they
give no readings and declare no capability.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serial.tools import list_ports

from drivers import udev
from drivers.base import (
    Capability,
    DeviceInfo,
    Health,
    HealthStatus,
    Probe,
    ProbeStatus,
    Session,
    Telemetry,
    read_telemetry,
)
from drivers.controls import Controlled
from drivers.errors import DeviceLost, NotSupported
from drivers.usbstick.products import DETECT_ONLY, Product, identify

LISTED_PORTS = 4


@dataclass(frozen=True)
class Stick:
    product: Product
    location: str
    """Where it is plugged in, e.g. ``1-4.2``."""
    serial_number: str
    port: str
    """Its serial port, empty where it has none."""


class StickDevice(Controlled):
    def __init__(self, info: DeviceInfo, stick: Stick, driver: Driver) -> None:
        self.info = info
        self._stick = stick
        self._driver = driver

    def snapshot(self) -> Telemetry:
        """Raises `DeviceLost` when the stick is unplugged."""
        if self._stick not in self._driver.list_sticks():
            raise DeviceLost(f"{self.info.model} was unplugged from {self._stick.location}")
        return read_telemetry(self.info.id, {}, "the stick's protocol is not spoken yet")

    def health(self) -> Health:
        if self._stick not in self._driver.list_sticks():
            return Health(HealthStatus.LOST, ("unplugged",), "unplugged")
        port = self._stick.port
        if port and not os.access(port, os.R_OK | os.W_OK):
            reason = f"{port} may not be opened; add this user to the group that owns it"
            return Health(HealthStatus.DEGRADED, ("no_permission",), reason)
        return Health(HealthStatus.OK)

    def open(self, capability: Capability, **options: Any) -> Session:
        raise NotSupported(f"{self.info.id}: USB sticks do not compute {capability} yet")


class Driver:
    family = "usbstick"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root`` holds the ``sys`` tree in which sticks without a serial port are found."""
        self._root = root

    def probe(self) -> Probe:
        if self.list_sticks():
            return Probe(ProbeStatus.PASS)
        unknown = [port for port in list_ports.comports() if port.vid is not None]
        if not unknown:
            return Probe(ProbeStatus.ABSENT, "no known USB stick is plugged in")
        names = ", ".join(f"{p.device} ({p.description})" for p in unknown[:LISTED_PORTS])
        return Probe(ProbeStatus.ABSENT, f"of the USB serial ports none is a known stick: {names}")

    def discover(self) -> Sequence[StickDevice]:
        sticks = enumerate(self.list_sticks())
        return [StickDevice(_describe(index, stick), stick, self) for index, stick in sticks]

    def list_sticks(self) -> list[Stick]:
        """Every known stick plugged in, in the order of where."""
        sticks = [*_serial_sticks(), *_other_sticks(self._root)]
        return sorted(sticks, key=lambda stick: (stick.location, stick.port))

    def watch(self, callback: Callable[[str], None]) -> Callable[[], None] | None:
        """Report what is plugged in or out, where udev can be heard."""
        return udev.listen(("tty", "usb"), callback, "usb-events")


def _serial_sticks() -> list[Stick]:
    found = []
    for port in list_ports.comports():
        strings = f"{port.manufacturer or ''} {port.product or ''}"
        if product := identify(port.vid, port.pid, strings):
            number = port.serial_number or ""
            found.append(Stick(product, port.location or "", number, port.device))
    return found


def _other_sticks(root: Path) -> list[Stick]:
    found = []
    for folder in sorted((root / "sys/bus/usb/devices").glob("*")):
        try:
            vendor, product = (
                int((folder / name).read_text(), 16) for name in ("idVendor", "idProduct")
            )
        except (OSError, ValueError):
            continue
        known = identify(vendor, product, _text(folder / "product"))
        if known and known.works_as == DETECT_ONLY:
            found.append(Stick(known, folder.name, _text(folder / "serial"), ""))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _describe(index: int, stick: Stick) -> DeviceInfo:
    product = stick.product
    identity = stick.serial_number or f"at-{stick.location or stick.port}"
    return DeviceInfo(
        id=f"usbstick:{index}",
        hardware_id=f"usb-{product.vendor:04x}-{product.product:04x}-{identity}",
        family="usbstick",
        model=product.model,
        capabilities=frozenset(),
        parent=stick.location,
        details={
            "works_as": product.works_as,
            "port": stick.port or "none",
            "usb_id": f"{product.vendor:04x}:{product.product:04x}",
        },
    )
