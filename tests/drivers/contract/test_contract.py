"""What every family keeps to, each over its stand-in: the same tests for all."""

from __future__ import annotations

import math

import pytest

from drivers import registry
from drivers.base import TELEMETRY_FIELDS, Capability, Device, HealthStatus, ProbeStatus
from drivers.errors import BadArgument, DeviceLost, NotSupported
from tests.drivers.contract.stands import FAMILIES, Stand

ALL = pytest.mark.parametrize("stand", FAMILIES, indirect=True)
LOSABLE = pytest.mark.parametrize("stand", ["cuda", "rocm", "usbstick"], indirect=True)
CONTROLLED = pytest.mark.parametrize("stand", ["cpu", "cuda", "rocm"], indirect=True)
WITHOUT_CONTROLS = pytest.mark.parametrize("stand", ["fpga", "opencl", "usbstick"], indirect=True)


def find(stand: Stand) -> Device:
    return stand.make().discover()[0]


def test_no_family_is_left_out() -> None:
    assert set(FAMILIES) == set(registry.families())


@ALL
def test_probe_says_why(stand: Stand) -> None:
    assert stand.make().probe().status is ProbeStatus.PASS
    stand.take_away()
    gone = stand.make().probe()
    assert gone.status is not ProbeStatus.PASS
    assert len(gone.reason) > 10


@ALL
def test_devices_tell_what_they_are(stand: Stand) -> None:
    driver = stand.make()
    devices = driver.discover()
    assert [d.info.id for d in devices] == [f"{stand.family}:{n}" for n in range(stand.count)]
    assert driver.family == stand.family
    for info in (device.info for device in devices):
        assert info.family == stand.family
        assert info.hardware_id and info.model
        assert all(isinstance(value, str) for value in info.details.values())
    assert len({device.info.hardware_id for device in devices}) == stand.count


@ALL
def test_looked_at_again_they_are_the_same(stand: Stand) -> None:
    driver = stand.make()
    first, again = ([d.info for d in driver.discover()] for _ in range(2))
    assert first == again == [d.info for d in stand.make().discover()]


@LOSABLE
def test_the_others_stay_who_they_are_when_one_goes(stand: Stand) -> None:
    assert stand.lose_first is not None
    driver = stand.make()
    before = driver.discover()
    stand.lose_first()
    after = driver.discover()
    assert [d.info.hardware_id for d in after] == [d.info.hardware_id for d in before[1:]]
    assert before[1].health().status is not HealthStatus.LOST
    assert before[1].snapshot().device_id == before[1].info.id


@LOSABLE
def test_a_lost_device_says_so(stand: Stand) -> None:
    assert stand.lose_first is not None
    device = find(stand)
    assert device.health().status is not HealthStatus.LOST
    stand.lose_first()
    health = device.health()
    assert health.status is HealthStatus.LOST
    assert health.codes and health.reason
    with pytest.raises(DeviceLost):
        device.snapshot()


@ALL
def test_telemetry_is_complete(stand: Stand) -> None:
    """A field is read or has its reason, never both; nothing absent is told as a number."""
    for device in stand.make().discover():
        reading = device.snapshot()
        assert reading.device_id == device.info.id
        assert set(reading.values) | set(reading.missing) == set(TELEMETRY_FIELDS)
        assert not set(reading.values) & set(reading.missing)
        assert all(math.isfinite(value) for value in reading.values.values())
        assert all(len(reason) > 5 for reason in reading.missing.values())
        assert all(
            0 <= value <= 1 for name, value in reading.values.items() if name.endswith("_ratio")
        )


@ALL
def test_a_device_in_order_is_healthy(stand: Stand) -> None:
    assert {d.health().status for d in stand.make().discover()} == {HealthStatus.OK}


@CONTROLLED
def test_a_control_is_clamped_read_back_and_restored(stand: Stand) -> None:
    device = find(stand)
    limits, before = device.limits(), dict(device.settings())
    assert set(limits) == set(before)
    assert all(one.minimum <= one.default <= one.maximum for one in limits.values())
    least = limits[stand.control].minimum
    applied = device.apply(stand.control, least - 1e12)
    assert (applied.before, applied.requested) == (before[stand.control], least - 1e12)
    assert applied.read_back == pytest.approx(least) == device.settings()[stand.control]
    assert find(stand).settings()[stand.control] == pytest.approx(least)
    device.restore()
    assert device.settings() == before
    device.restore()
    assert device.settings() == before


@CONTROLLED
def test_what_is_no_number_is_refused(stand: Stand) -> None:
    device = find(stand)
    before = dict(device.settings())
    with pytest.raises(BadArgument):
        device.apply(stand.control, math.nan)
    with pytest.raises(NotSupported):
        device.apply("no_such_control", 1.0)
    assert device.settings() == before


@CONTROLLED
def test_a_device_found_again_knows_what_it_was(stand: Stand) -> None:
    driver = stand.make()
    first = driver.discover()[0]
    before = dict(first.settings())
    first.apply(stand.control, first.limits()[stand.control].minimum)
    again = driver.discover()[0]
    again.restore()
    assert again.settings() == before


@WITHOUT_CONTROLS
def test_without_controls_all_is_refused(stand: Stand) -> None:
    device = find(stand)
    assert not device.limits() and not device.settings()
    with pytest.raises(NotSupported):
        device.apply("power_limit_watts", 1.0)
    device.restore()


@ALL
def test_a_watch_ends(stand: Stand) -> None:
    end = stand.make().watch(lambda reason: None)
    if end is not None:
        end()


@ALL
def test_capabilities_are_true(stand: Stand) -> None:
    """What is not offered is refused with a reason."""
    device = find(stand)
    assert stand.capabilities <= device.info.capabilities
    for capability in set(Capability) - device.info.capabilities:
        with pytest.raises(NotSupported) as refused:
            device.open(capability)
        assert device.info.id in str(refused.value)
