"""Family ``usbstick``: sticks with farmctl's firmware (docs/usb-stick-protocol.md) on a serial port
infer small models and check proofs of work; others on the USB bus that are known are named.

``FARMCTL_STICK_PORTS`` names further serial ports, separated like ``PATH``, that hold a stick
which USB does not tell of; ``bm1384=PORT`` one with chips of Bitcoin's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
from drivers.errors import BadArgument, DeviceBusy, DeviceLost, DriverError, NotSupported
from drivers.usbstick.chain import Chain
from drivers.usbstick.hashing import StickHashes, read_vitals
from drivers.usbstick.link import StickLink
from drivers.usbstick.products import (
    DETECT_ONLY,
    FIRMWARE,
    NAMED,
    NAMED_BM1384,
    Product,
    identify,
)
from drivers.usbstick.session import StickRuns, StickSession, StickVerifier
from drivers.usbstick.vitals import VitalsFile
from drivers.usbstick.wire import Hello, StickCapability, Vitals

PORTS_VARIABLE = "FARMCTL_STICK_PORTS"
LISTED_PORTS = 4
CAPABILITIES = {
    StickCapability.INFER: Capability.INFER,
    StickCapability.VERIFY_CUCKOO: Capability.VERIFY_CUCKOO,
}


@dataclass(frozen=True)
class Stick:
    product: Product
    location: str
    """Where it is plugged in, e.g. ``1-4.2``."""
    serial_number: str
    port: str = field(compare=False)
    """Its serial port, empty where it has none; plugged in again it may get another."""


class StickDevice(Controlled):
    def __init__(self, info: DeviceInfo, stick: Stick, driver: Driver) -> None:
        self.info = info
        self._stick = stick
        self._driver = driver
        self._vitals_file = VitalsFile(info.hardware_id)

    def snapshot(self) -> Telemetry:
        """Raises `DeviceLost` when the stick is unplugged."""
        stick = self._find()
        if stick is None:
            raise DeviceLost(f"{self.info.model} was unplugged from {self._stick.location}")
        if not self._speaks:
            return read_telemetry(self.info.id, {}, "this stick tells no readings")
        try:
            vitals = self._vitals_file.read() or _ask_vitals(stick)
        except DeviceBusy:
            otherwise = "a session holds the stick, and has asked it nothing of late"
            return read_telemetry(self.info.id, {}, otherwise)
        readers = {
            "temperature_celsius": lambda: _known(vitals.celsius, "temperature"),
            "voltage_volts": lambda: _known(vitals.volts, "voltage"),
            "clock_hertz": lambda: _known(vitals.clock_hertz, "clock"),
            "link_error_count": lambda: float(vitals.bad_frames),
        }
        return read_telemetry(self.info.id, readers, "a stick has no such sensor")

    def health(self) -> Health:
        stick = self._find()
        if stick is None:
            return Health(HealthStatus.LOST, ("unplugged",), "unplugged")
        port = stick.port
        if port and not os.access(port, os.R_OK | os.W_OK):
            reason = f"{port} may not be opened; add this user to the group that owns it"
            return Health(HealthStatus.DEGRADED, ("no_permission",), reason)
        return Health(HealthStatus.OK)

    def open(self, capability: Capability, **options: Any) -> Session:
        """Options of INFER: ``check_ratio`` and ``run_seconds``, see `StickRuns`; of
        HASH_SHA256D: ``clock_hertz``. A stick that has not been heard yet is asked now:
        `DeviceBusy` says that another session holds it."""
        if capability not in self.info.capabilities and not self._may_offer(capability):
            raise NotSupported(f"{self.info.id} has no capability {capability}")
        try:
            if capability is Capability.HASH_SHA256D:
                return StickHashes(self._stick.port, self._vitals_file, **options)
            return self._open_firmware(capability, options)
        except TypeError as error:
            raise BadArgument(f"{capability} options: {error}") from None

    def _open_firmware(self, capability: Capability, options: dict[str, Any]) -> Session:
        session = StickSession(self._stick.port, self._vitals_file)
        try:
            if capability is Capability.INFER:
                return StickRuns(session, **options)
            return StickVerifier(session, **options)
        except BaseException:
            session.close()
            raise

    def _may_offer(self, capability: Capability) -> bool:
        """Whether only asking the stick can tell."""
        product = self._stick.product
        if product.chip:
            return capability is Capability.HASH_SHA256D
        is_ours = product.works_as == FIRMWARE
        return is_ours and not self._speaks and capability in CAPABILITIES.values()

    @property
    def _speaks(self) -> bool:
        return bool(self.info.capabilities)

    def _find(self) -> Stick | None:
        """The stick as it is plugged in now; None where it is not."""
        return next((s for s in self._driver.list_sticks() if s == self._stick), None)


class Driver:
    family = "usbstick"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root`` holds the ``sys`` tree in which sticks without a serial port are found."""
        self._root = root
        self._heard: dict[Stick, Hello | int | str] = {}

    def probe(self) -> Probe:
        if self.list_sticks():
            return Probe(ProbeStatus.PASS)
        unknown = [port for port in list_ports.comports() if port.vid is not None]
        if not unknown:
            return Probe(ProbeStatus.ABSENT, "no known USB stick is plugged in")
        names = ", ".join(f"{p.device} ({p.description})" for p in unknown[:LISTED_PORTS])
        return Probe(ProbeStatus.ABSENT, f"of the USB serial ports none is a known stick: {names}")

    def discover(self) -> Sequence[StickDevice]:
        """In the order of where they are plugged in. What answers once as ours is remembered
        while it stays: a session may hold its port later."""
        sticks = self.list_sticks()
        self._heard = {s: h for s, h in self._heard.items() if s in sticks}
        return [
            StickDevice(_describe(index, stick, self._hear(stick)), stick, self)
            for index, stick in enumerate(sticks)
        ]

    def list_sticks(self) -> list[Stick]:
        """Every known stick plugged in, in the order of where."""
        sticks = [*_serial_sticks(), *_named_sticks(), *_other_sticks(self._root)]
        return sorted(sticks, key=lambda stick: (stick.location, stick.port))

    def _hear(self, stick: Stick) -> Hello | int | str:
        """What a stick says of itself (a SHA-256 stick, of how many chips), or why nothing."""
        known = self._heard.get(stick)
        if isinstance(known, Hello | int):
            return known
        if stick.product.needs or stick.product.works_as == DETECT_ONLY:
            return stick.product.needs
        try:
            self._heard[stick] = _ask(stick)
        except DriverError as error:
            self._heard[stick] = str(error)
        return self._heard[stick]

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


def _named_sticks() -> list[Stick]:
    found = []
    for entry in filter(None, os.environ.get(PORTS_VARIABLE, "").split(os.pathsep)):
        chip, _, port = entry.rpartition("=")
        product = NAMED_BM1384 if chip == "bm1384" else NAMED
        if Path(port).exists():
            found.append(Stick(product, port, "", port))
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


def _ask(stick: Stick) -> Hello | int:
    """Raises `DriverError`."""
    if stick.product.chip:
        chain = Chain(stick.port)
        chain.close()
        return chain.chips
    with StickLink(stick.port) as link:
        return link.hello()


def _ask_vitals(stick: Stick) -> Vitals:
    """Raises `DeviceBusy` where a session holds the port and has told nothing of late."""
    if stick.product.chip:
        return read_vitals(stick.port)
    with StickLink(stick.port) as link:
        return link.vitals()


def _describe(index: int, stick: Stick, heard: Hello | int | str) -> DeviceInfo:
    product = stick.product
    details = {
        "works_as": product.works_as,
        "port": stick.port or "none",
        "usb_id": f"{product.vendor:04x}:{product.product:04x}",
    }
    capabilities = set()
    serial_number = stick.serial_number
    if isinstance(heard, Hello):
        capabilities = {c for flag, c in CAPABILITIES.items() if flag in heard.capabilities}
        details |= {"firmware": heard.firmware, "model_bytes": str(heard.image_bytes)}
        serial_number = serial_number or heard.serial
    elif isinstance(heard, int):
        capabilities = {Capability.HASH_SHA256D}
        details |= {"chips": f"{heard} × {product.chip}"}
    elif heard:
        details["needs"] = heard
    identity = serial_number or f"at-{stick.location or stick.port}"
    return DeviceInfo(
        id=f"usbstick:{index}",
        hardware_id=f"usb-{product.vendor:04x}-{product.product:04x}-{_plain(identity)}",
        family="usbstick",
        model=product.model,
        capabilities=frozenset(capabilities),
        driver_version=heard.firmware if isinstance(heard, Hello) else "",
        parent=stick.location,
        details=details,
    )


def _plain(identity: str) -> str:
    """Fit for a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", identity)


def _known(value: float | None, what: str) -> float:
    if value is None:
        raise NotSupported(f"this stick tells no {what}")
    return value
