"""Telemetry threads: a read that hangs is told, and stops nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from drivers.base import Device, DeviceInfo, Health, HealthStatus, Telemetry
from drivers.errors import DeviceLost
from farmctl.agent.sampler import Sampler


class Sensor:
    """The part of a device that a sampler reads."""

    def __init__(self, index: int, read: Callable[[], None]) -> None:
        self.info = DeviceInfo(f"test:{index}", f"hw-{index}", "test", "Sensor", frozenset())
        self._read = read

    def snapshot(self) -> Telemetry:
        self._read()
        return Telemetry(self.info.id, time.time(), {"power_watts": 10.0}, {})

    def health(self) -> Health:
        return Health(HealthStatus.OK)


def sampler(read: Callable[[], None], index: int = 0) -> Sampler:
    device: Device = Sensor(index, read)  # type: ignore[assignment]
    return Sampler(device, period_seconds=0.01, hang_seconds=0.1)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_hung_read_counts_the_device_as_lost_and_others_go_on() -> None:
    release = threading.Event()
    hung, fine = sampler(lambda: (release.wait(30), None)[1]), sampler(lambda: None, 1)
    hung.start()
    fine.start()
    wait_for(lambda: hung.health().status is HealthStatus.LOST)
    assert "hung" in hung.health().reason
    assert hung.take() is None
    assert fine.health().status is HealthStatus.OK
    wait_for(lambda: fine.take() is not None)
    release.set()
    wait_for(lambda: hung.health().status is HealthStatus.OK)
    hung.stop()
    fine.stop()


def test_a_reading_is_given_once() -> None:
    reads = threading.Semaphore(1)

    def read() -> None:
        reads.acquire()

    one = sampler(read)
    one.start()
    wait_for(lambda: one._sample is not None)
    assert one.take() is not None
    assert one.take() is None
    reads.release(10)
    one.stop()


def test_a_drivers_error_is_the_reason() -> None:
    def fail() -> None:
        raise DeviceLost("fell off the bus")

    one = sampler(fail)
    one.start()
    wait_for(lambda: one.health().status is HealthStatus.LOST)
    assert one.health().reason == "fell off the bus"
    one.stop()
