"""Sessions that are opened, killed with ``kill -9`` while they work, and opened again.

Every family that computes on any machine takes its turn: the processor, OpenCL on PoCL, the
simulated FPGA core, and the sticks' reference firmware on a terminal. Nothing may be left: no
process, descriptor, shared memory or temporary file, and a device that proves itself at the end.
Needs a clone of the repository, PoCL, Verilator and a C compiler.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from drivers import selftest
from drivers.base import Capability
from drivers.errors import DeviceLost, DriverError
from drivers.fpga.simulated_boards import COUNT_VARIABLE
from drivers.fpga.simulation.build import build_library
from drivers.opencl.driver import CPU_VARIABLE
from drivers.selftest import prove
from drivers.usbstick.driver import PORTS_VARIABLE
from drivers.worker import WorkerSession, open_session

ROOT = Path(__file__).resolve().parents[1]
QUICK_KILLS, FULL_KILLS = 12, 1000
#: A session is killed so long after it began to work, at most.
LATEST_SECONDS = 0.2
SETTLE_SECONDS = 10.0
POCL_CACHE = "pocl"
#: PoCL's compiler leaves its half-written files in its cache when it is killed. They are counted
#: and not judged: GPUs' OpenCL is another.
POCL_FILES = "pocl_compiler_files"
MARK = "FARMCTL_SESSION_KILLS"
DEVICES = {
    "cpu": Capability.CUCKOO,
    "fpga": Capability.INFER,
    "opencl": Capability.CUCKOO,
    "usbstick": Capability.INFER,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, help=f"in all, in turn; {FULL_KILLS} unless told")
    parser.add_argument("--families", nargs="+", choices=DEVICES, default=list(DEVICES))


def run(quick: bool, kills: int | None = None, families: list[str] | None = None) -> dict[str, Any]:
    families = families or list(DEVICES)
    count = kills or (QUICK_KILLS if quick else FULL_KILLS)
    with tempfile.TemporaryDirectory() as folder, stands(Path(folder)) as watched:
        rows = [Trial(family) for family in families]
        before = watched.settle()  # what only the first session of a family makes is no leak
        for number in range(count):
            rows[number % len(rows)].kill_one()
        found = [row.finish() for row in rows]
        left = {name: count - before[name] for name, count in watched.settle().items()}
        ours = (count for name, count in left.items() if name != POCL_FILES)
        passed = not any(ours) and all(row["passed"] for row in found)
        return {"kills": count, "rows": found, "left": [left], "passed": passed}


class Trial:
    """One family: its kills, and whether it works after them."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._kills = self._in_work = 0
        self._refusals: list[str] = []
        self._open_seconds: list[float] = []
        self._random = random.Random(family)
        with self._open() as session:
            selftest.check(session, DEVICES[family])

    def kill_one(self) -> None:
        self._kills += 1
        try:
            session = self._open()
        except DriverError as error:
            self._refusals.append(str(error))
            return
        began = time.monotonic()
        watcher = _kill_later(session.pid, self._random.uniform(0, LATEST_SECONDS))
        try:
            while time.monotonic() - began < SETTLE_SECONDS:
                selftest.check(session, DEVICES[self._family])
        except DeviceLost:
            self._in_work += 1
        finally:
            session.close()
            watcher.wait()

    def finish(self) -> dict[str, Any]:
        proof = prove(self._family, f"{self._family}:0", DEVICES[self._family])
        return {
            "family": self._family,
            "kills": self._kills,
            "killed_in_work": self._in_work,
            "open_seconds_median": sorted(self._open_seconds)[len(self._open_seconds) // 2],
            "open_seconds_most": max(self._open_seconds),
            "not_opened": "; ".join(sorted(set(self._refusals))) or "none",
            "proves_itself": proof.passed,
            "passed": proof.passed and self._in_work == self._kills,
        }

    def _open(self) -> WorkerSession:
        began = time.monotonic()
        session = open_session(
            self._family, f"{self._family}:0", DEVICES[self._family], SETTLE_SECONDS
        )
        self._open_seconds.append(time.monotonic() - began)
        return session


class Watched:
    """What a session could leave on this machine."""

    def __init__(self, mark: str, temporary: Path) -> None:
        self._mark, self._temporary = mark, temporary

    def settle(self) -> dict[str, int]:
        """The counts, once they no longer change: a bridge may live a moment longer than its
        session."""
        deadline, counts = time.monotonic() + SETTLE_SECONDS, self._count()
        while counts["processes"] and time.monotonic() < deadline:
            time.sleep(0.1)
            counts = self._count()
        return counts

    def _count(self) -> dict[str, int]:
        files = list(self._temporary.rglob("*"))
        return {
            "processes": sum(1 for p in psutil.process_iter() if self._is_ours(p)),
            "descriptors": psutil.Process().num_fds(),
            "threads": psutil.Process().num_threads(),
            "shared_memory": len(list(Path("/dev/shm").iterdir())),
            "files": sum(1 for path in files if POCL_CACHE not in path.parts),
            POCL_FILES: sum(1 for path in files if path.name.startswith("tempfile_")),
        }

    def _is_ours(self, process: psutil.Process) -> bool:
        """A worker, or what one has started: by a variable that all of them inherit."""
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and "stick" not in process.name():
                return process.environ().get(MARK) == self._mark
        return False


def _kill_later(pid: int, seconds: float) -> subprocess.Popen[bytes]:
    """From another process, so that the kill comes whatever this one waits for."""
    command = f"import os, time; time.sleep({seconds}); os.kill({pid}, {signal.SIGKILL.value})"
    return subprocess.Popen([sys.executable, "-S", "-c", command])


@contextlib.contextmanager
def stands(folder: Path) -> Iterator[Watched]:
    """Stand-ins for the families, and what is made by any process from here on."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import sticks

    program = sticks.build("host", folder / "firmware")
    build_library()
    temporary, mark = folder / "tmp", uuid.uuid4().hex
    temporary.mkdir()
    with sticks.plugged(program, "KILLS") as stick, _variables() as variables:
        variables |= {CPU_VARIABLE: "1", COUNT_VARIABLE: "1", PORTS_VARIABLE: stick.port}
        variables |= {"TMPDIR": str(temporary), "POCL_CACHE_DIR": str(temporary / POCL_CACHE)}
        variables[MARK] = mark
        yield Watched(mark, temporary)


@contextlib.contextmanager
def _variables() -> Iterator[dict[str, str]]:
    """The environment, put back in the end."""
    before = dict(os.environ)
    try:
        yield os.environ  # type: ignore[misc]
    finally:
        os.environ.clear()
        os.environ.update(before)
