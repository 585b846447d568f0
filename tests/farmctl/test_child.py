"""The supervisor's care for a process, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from farmctl import child as module
from farmctl.child import Child, Spec
from farmctl.config import load
from farmctl.errors import Conflict, Unavailable
from farmctl.supervisor import is_up, only_one, settle_ports

SLEEPER = "import time, sys; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


def make(tmp_path: Path, code: str, ready_seconds: float = 10.0) -> Child:
    async def is_ready() -> bool:
        log = tmp_path / "test.log"
        return log.exists() and "up" in log.read_text()

    command = (sys.executable, "-c", code)
    return Child(Spec("test", command, is_ready, ready_seconds), tmp_path, echo=False)


async def until(condition) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_killed_process_is_started_again(tmp_path: Path) -> None:
    child = make(tmp_path, SLEEPER)
    await child.start()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.pid != first)
    second = child.pid
    await child.stop()
    assert second is not None
    assert not is_alive(second)


async def test_process_that_will_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    child = make(tmp_path, STUBBORN)
    await child.start()
    pid = child.pid
    await child.stop()
    assert pid is not None
    await until(lambda: not is_alive(pid))


async def test_process_that_is_never_ready_is_an_error_that_says_where_to_look(
    tmp_path: Path,
) -> None:
    child = make(tmp_path, "print('broken', flush=True)", ready_seconds=0.5)
    with pytest.raises(Unavailable, match=r"test\.log"):
        await child.start()
    await child.stop()
    assert "broken" in (tmp_path / "test.log").read_text()


def test_child_dies_with_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from farmctl.child import Child, Spec\n"
        "async def ready(): return Path(sys.argv[1], 'test.log').stat().st_size > 0\n"
        "async def run():\n"
        f"    spec = Spec('test', (sys.executable, '-c', {SLEEPER!r}), ready)\n"
        "    child = Child(spec, Path(sys.argv[1]), False)\n"
        "    await child.start(); print(child.pid, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(run())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert is_alive(pid)
        supervisor.kill()
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_home_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(Conflict, match="running already"), only_one(tmp_path):
        pass
    assert not is_up(tmp_path)
    with only_one(tmp_path):
        assert is_up(tmp_path)
    assert not is_up(tmp_path)


def test_first_start_takes_free_ports_and_keeps_them(tmp_path: Path) -> None:
    environment = {"FARMCTL_HOME": str(tmp_path)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        first = settle_ports(load({**environment, "FARMCTL_API_PORT": str(busy)}))
        assert first.api.port != busy
        assert load(environment) == first
        with pytest.raises(Conflict, match=rf"port {busy} is taken.*\[api\]"):
            settle_ports(load({**environment, "FARMCTL_API_PORT": str(busy)}))
