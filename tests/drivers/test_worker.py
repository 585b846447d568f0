"""Sessions in their own process: answers, deadlines, crashes and owners that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from drivers.base import Capability, CuckooJob, CuckooSolution
from drivers.errors import BadArgument, DeadlineExceeded, DeviceLost, NotSupported
from drivers.worker import WorkerSession, open_session

LONG_JOB = CuckooJob(bytes(32), 24)


def never() -> bool:
    return False


@pytest.fixture
def session() -> Iterator[WorkerSession]:
    with open_session("cpu", "cpu:0", Capability.CUCKOO) as opened:
        yield opened


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker is still there"
        time.sleep(0.02)


def test_search_is_stopped_within_a_graph(session: WorkerSession) -> None:
    threading.Timer(0.2, session.stop).start()
    started = time.monotonic()
    assert session.search(LONG_JOB, 0, 1000, never)[0] < 1000
    assert time.monotonic() - started < 5
    assert session.search(CuckooJob(bytes(32), 12), 0, 3, never)[0] == 3


def test_cycles_are_told_while_the_search_goes_on(session: WorkerSession) -> None:
    told: list[CuckooSolution] = []
    job = CuckooJob(bytes(32), 12)
    done, found = session.search(job, 0, 100_000, lambda: len(told) >= 3, told.append)
    assert 0 < done < 100_000, "the third cycle ended it"
    assert told == found and len(found) >= 3


def test_should_stop_is_heard(session: WorkerSession) -> None:
    deadline = time.monotonic() + 0.2
    done, _ = session.search(LONG_JOB, 0, 1000, lambda: time.monotonic() > deadline)
    assert done < 1000


def test_errors_come_through(session: WorkerSession) -> None:
    with pytest.raises(BadArgument, match="edge bits"):
        session.search(CuckooJob(bytes(32), 40), 0, 1, never)
    with pytest.raises(NotSupported, match="cannot run"):
        session.run("model", b"")
    assert session.search(CuckooJob(bytes(32), 12), 0, 1, never)[0] == 1


def test_unknown_devices_and_capabilities_are_refused() -> None:
    with pytest.raises(BadArgument, match="family cpu has cpu:0"):
        open_session("cpu", "cpu:7", Capability.CUCKOO)
    with pytest.raises(BadArgument, match="no device family"):
        open_session("abacus", "abacus:0", Capability.CUCKOO)
    with pytest.raises(NotSupported):
        open_session("cpu", "cpu:0", Capability.HASH_SHA256D)
    with pytest.raises(BadArgument, match="options"):
        open_session("cpu", "cpu:0", Capability.CUCKOO, colour="red")


def test_deadline_ends_the_worker(session: WorkerSession) -> None:
    session.deadline_seconds = 0.2
    pid = session.pid
    with pytest.raises(DeadlineExceeded):
        session.search(LONG_JOB, 0, 1000, never)
    wait_until_gone(pid)
    with pytest.raises(DeviceLost, match="closed"):
        session.search(LONG_JOB, 0, 1, never)


def test_killed_worker_is_a_lost_device(session: WorkerSession) -> None:
    threading.Timer(0.2, os.kill, (session.pid, signal.SIGKILL)).start()
    with pytest.raises(DeviceLost, match="status -9"):
        session.search(LONG_JOB, 0, 1000, never)


OWNER = """
import sys, threading
from drivers.base import Capability, CuckooJob, CuckooSolution
from drivers.worker import open_session
opened = []
thread = threading.Thread(
    target=lambda: opened.append(open_session("cpu", "cpu:0", Capability.CUCKOO))
)
thread.start()
thread.join()
print(opened[0].pid, flush=True)
opened[0].search(CuckooJob(bytes(32), 24), 0, 1000, lambda: False)
"""


def test_worker_ends_with_its_owner() -> None:
    """Killed outright while its worker searches; the thread that opened it is long gone."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    time.sleep(0.1)
    assert psutil.pid_exists(pid)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_until_gone(pid)
