"""Sessions of every family that computes here: alone, in time, and typed in their errors."""

from __future__ import annotations

import os
import signal
import time

import pytest

from drivers.base import Capability, HealthStatus
from drivers.errors import BadArgument, DeadlineExceeded, DeviceBusy, DeviceLost, NotSupported
from drivers.selftest import check, prove
from drivers.worker import WorkerSession, open_session
from tests.drivers.contract.stands import Stand

COMPUTING = pytest.mark.parametrize("stand", ["cpu", "fpga", "opencl", "usbstick"], indirect=True)
ALONE = pytest.mark.parametrize("stand", ["fpga", "usbstick"], indirect=True)


def open_first(stand: Stand, deadline_seconds: float = 60.0) -> tuple[WorkerSession, Capability]:
    capability = min(stand.capabilities)
    return open_session(stand.family, f"{stand.family}:0", capability, deadline_seconds), capability


@COMPUTING
def test_known_answers(stand: Stand) -> None:
    for capability in sorted(stand.capabilities):
        test = prove(stand.family, f"{stand.family}:0", capability)
        assert test.passed, test.detail
        assert test.detail and test.seconds > 0


@ALONE
def test_a_device_is_held_by_one(stand: Stand) -> None:
    first, capability = open_first(stand)
    with first:
        with pytest.raises(DeviceBusy):
            open_first(stand)[0].close()
        check(first, capability)
    with open_first(stand)[0] as again:
        check(again, capability)


@COMPUTING
def test_a_device_is_read_while_a_session_rests(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that holds the only way to the device and has nothing to do is not a loss."""
    monkeypatch.setattr("drivers.usbstick.vitals.FRESH_SECONDS", -1.0)
    device = stand.make().discover()[0]
    with open_first(stand)[0]:
        assert all(device.snapshot().missing.values())
        assert device.health().status is HealthStatus.OK


@COMPUTING
def test_a_killed_session_is_lost_and_the_next_one_works(stand: Stand) -> None:
    session, capability = open_first(stand)
    os.kill(session.pid, signal.SIGKILL)
    with pytest.raises(DeviceLost):
        check(session, capability)
    with pytest.raises(DeviceLost):
        session.release()
    session.close()
    with open_first(stand)[0] as again:
        check(again, capability)


@COMPUTING
def test_a_session_that_hangs_ends_at_its_deadline(stand: Stand) -> None:
    session, capability = open_first(stand)
    session.deadline_seconds = 0.3
    os.kill(session.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        check(session, capability)
    assert time.monotonic() - began < 3
    with pytest.raises(DeviceLost):
        check(session, capability)


@COMPUTING
def test_what_a_session_cannot_do_ends_nothing(stand: Stand) -> None:
    session, capability = open_first(stand)
    with session:
        with pytest.raises(NotSupported):
            session._call("fly")
        check(session, capability)


@COMPUTING
def test_unknown_options_and_devices_are_refused(stand: Stand) -> None:
    capability = min(stand.capabilities)
    with pytest.raises(BadArgument):
        open_session(stand.family, f"{stand.family}:0", capability, no_such_option=1)
    with pytest.raises(BadArgument, match=f"{stand.family}:99"):
        open_session(stand.family, f"{stand.family}:99", capability)
