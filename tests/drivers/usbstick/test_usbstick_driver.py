"""The stick family over lists of ports and a sysfs tree."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import pyudev
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo
from sticks import firmware, plugged

from drivers.base import HealthStatus, ProbeStatus
from drivers.errors import DeviceLost
from drivers.usbstick.driver import Driver

__all__ = ["firmware"]


def port(device: str, vendor: int, product: int, name: str, location: str) -> ListPortInfo:
    info = ListPortInfo(device)
    info.vid, info.pid, info.product, info.location = vendor, product, name, location
    info.description = info.product
    info.serial_number = f"serial-{location}"
    return info


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[ListPortInfo]:
    """What the operating system lists; tests plug in and out."""
    plugged: list[ListPortInfo] = []
    monkeypatch.setattr(list_ports, "comports", lambda: list(plugged))
    return plugged


def test_tells_sticks_with_the_same_bridge_apart(ports: list[ListPortInfo], tmp_path: Path) -> None:
    ports += [
        port("/dev/ttyUSB1", 0x0403, 0x6015, "R606 Bitcoin Miner", "1-2"),
        port("/dev/ttyUSB0", 0x0403, 0x6015, "FT231X USB UART", "1-1"),
        port("/dev/ttyACM0", 0x2E8A, 0x000A, "farmctl tensor stick", "1-3"),
    ]
    found = [d.info for d in Driver(tmp_path).discover()]
    assert [d.model for d in found] == ["GekkoScience R606", "RP2040 stick"]
    assert [d.id for d in found] == ["usbstick:0", "usbstick:1"]
    assert found[1].hardware_id == "usb-2e8a-000a-serial-1-3"
    assert found[0].details["port"] == "/dev/ttyUSB1"
    assert not found[0].capabilities


def test_unknown_ports_are_named(ports: list[ListPortInfo], tmp_path: Path) -> None:
    ports.append(port("/dev/ttyUSB0", 0x10C4, 0xEA60, "CP2102 bridge", "1-1"))
    probe = Driver(tmp_path).probe()
    assert probe.status is ProbeStatus.ABSENT
    assert "/dev/ttyUSB0 (CP2102 bridge)" in probe.reason


def test_unplugged_stick_is_lost(ports: list[ListPortInfo], tmp_path: Path) -> None:
    ports.append(port("/dev/ttyACM0", 0x303A, 0x1001, "farmctl stick", "1-1"))
    stick = Driver(tmp_path).discover()[0]
    assert not stick.info.capabilities
    assert "cannot be opened" in stick.info.details["needs"]
    assert all("tells no readings" in why for why in stick.snapshot().missing.values())
    ports.clear()
    assert stick.health().status is HealthStatus.LOST
    with pytest.raises(DeviceLost, match="unplugged"):
        stick.snapshot()


def test_plugged_in_again_it_may_have_another_port(
    ports: list[ListPortInfo], firmware: Path, tmp_path: Path
) -> None:
    """The kernel gives it the next name while a session still holds the one before."""
    driver = Driver(tmp_path)
    with plugged(firmware) as before, plugged(firmware, centidegrees=3000) as after:
        ports.append(port(before.port, 0x2E8A, 0x000A, "farmctl stick", "1-1"))
        (stick,) = driver.discover()
        before.unplug()
        ports[0].device = after.port
        assert stick.health().status is HealthStatus.OK
        assert stick.snapshot().values["temperature_celsius"] == 30
        assert driver.discover()[0].info.hardware_id == stick.info.hardware_id


def test_stick_on_a_real_pty(ports: list[ListPortInfo], tmp_path: Path) -> None:
    """A port that this user may open is healthy; one that is not there is not."""
    controller, terminal = os.openpty()
    ports.append(port(os.ttyname(terminal), 0x2E8A, 0x000A, "farmctl stick", "1-1"))
    ports.append(port("/dev/ttyACM99", 0x2E8A, 0x000A, "farmctl stick", "1-2"))
    open_port, closed_port = Driver(tmp_path).discover()
    assert open_port.health().status is HealthStatus.OK
    assert closed_port.health().codes == ("no_permission",)
    os.close(controller)
    os.close(terminal)


def test_other_sticks_are_detected_by_sysfs(ports: list[ListPortInfo], tmp_path: Path) -> None:
    for name, vendor, product in (("1-5", "1a6e", "089a"), ("2-1", "03e7", "2485")):
        folder = tmp_path / "sys/bus/usb/devices" / name
        folder.mkdir(parents=True)
        (folder / "idVendor").write_text(vendor + "\n")
        (folder / "idProduct").write_text(product + "\n")
    (tmp_path / "sys/bus/usb/devices/usb1").mkdir()
    found = [d.info for d in Driver(tmp_path).discover()]
    assert [d.parent for d in found] == ["1-5", "2-1"]
    assert found[0].details["works_as"] == "detect only"
    assert Driver(tmp_path).probe().status is ProbeStatus.PASS


def test_nothing_plugged_in(ports: list[ListPortInfo], tmp_path: Path) -> None:
    assert Driver(tmp_path).probe().status is ProbeStatus.ABSENT


def can_hear_udev() -> bool:
    try:
        pyudev.Monitor.from_netlink(pyudev.Context())
    except (ImportError, OSError):
        return False
    return True


def test_watch_runs_until_ended(tmp_path: Path) -> None:
    """Where udev cannot be heard there is no watch, and the caller polls."""
    others = set(threading.enumerate())
    end = Driver(tmp_path).watch(lambda reason: None)
    threads = [t for t in set(threading.enumerate()) - others if t.name == "usb-events"]
    assert bool(threads) == (end is not None) == can_hear_udev()
    if end is not None:
        end()
        assert not threads[0].is_alive()
