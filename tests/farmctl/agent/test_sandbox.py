"""A job's room: what is inside it, what is not, and when it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from farmctl.agent import sandbox
from farmctl.agent.sandbox import Room, RoomLimits, probe_room
from farmctl.errors import Refused


@pytest.fixture(params=["bubblewrap", "util-linux"])
def room(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    if request.param == "util-linux":
        monkeypatch.setattr(sandbox, "find_bubblewrap", lambda: None)
    elif sandbox.find_bubblewrap() is None:
        pytest.skip("bubblewrap is not installed; the room is tested with util-linux alone")
    folder = tmp_path / "room"
    reason = probe_room(folder)
    if reason:
        pytest.fail(f"the tests of the sandbox cannot run: {reason}")
    return Room(folder)


def run(room: Room, script: str) -> subprocess.CompletedProcess[str]:
    command = room.command(["/bin/sh", "-c", script])
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def run_python(room: Room, program: str) -> subprocess.CompletedProcess[str]:
    command = room.command([sys.executable, "-c", program])
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_network_is_not_there(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        with socket.create_connection(("127.0.0.1", port), 2):
            pass  # reachable from outside the room
        done = run_python(room, program)
    assert done.returncode != 0
    assert "OSError" in done.stderr or "ConnectionRefused" in done.stderr
    assert run(room, "grep -c : /proc/net/dev").stdout.strip() == "1"  # loopback alone


def test_secrets_of_the_home_cannot_be_read(room: Room, tmp_path: Path) -> None:
    secret = tmp_path / "secrets" / "api.token"
    secret.parent.mkdir()
    secret.write_text("hush")
    for path in (secret, Path.home() / ".bashrc", Path("/etc/passwd"), Path("/etc/shadow")):
        done = run(room, f"cat {path}")
        assert done.returncode != 0, path
        assert "hush" not in done.stdout
    assert run(room, f"cat /job/../{secret}").returncode != 0


def test_nothing_outside_can_be_written(room: Room, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for path in (
        outside / "x",
        Path("/usr/x"),
        Path("/x"),
        Path("/farm/farmctl/x"),
        Path("/etc/x"),
    ):
        assert run(room, f"touch {path}").returncode != 0, path
    assert run(room, "touch /job/mine /tmp/scratch").returncode == 0
    assert (room.folder / "mine").exists()
    assert list(outside.iterdir()) == []
    assert not Path("/tmp/scratch").exists()


def test_the_environment_is_clean(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_SECRET", "hush")
    done = run(room, "env")
    assert "hush" not in done.stdout
    names = {line.split("=")[0] for line in done.stdout.splitlines()}
    assert names <= {
        *("PATH", "HOME", "LANG", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS"),
        *("PWD", "OLDPWD", "_"),
    }


def test_other_processes_cannot_be_seen(room: Room) -> None:
    shown = run(room, "ls /proc").stdout.split()
    numbers = [name for name in shown if name.isdigit()]
    assert len(numbers) < 5
    assert run(room, f"kill -0 {os.getpid()}").returncode != 0


def test_there_are_no_privileges(room: Room) -> None:
    status = run(room, "cat /proc/self/status").stdout
    for line in status.splitlines():
        if line.startswith("Cap"):
            assert int(line.split()[1], 16) == 0, line
    assert "NoNewPrivs:\t1" in status
    assert run(room, "mount -t tmpfs none /tmp").returncode != 0


def test_memory_is_limited(tmp_path: Path) -> None:
    folder = tmp_path / "room"
    folder.mkdir()
    room = Room(folder, RoomLimits(address_space_bytes=512 * 2**20))
    done = run_python(room, "b = bytearray(2**30)")
    assert done.returncode != 0
    assert "MemoryError" in done.stderr


def test_the_room_ends_with_its_parent(room: Room) -> None:
    """The parent is killed, as a runner may be; the job in the room must not outlive it."""
    mark = room.folder / "beat"
    beat = "while true; do date +%s%N > /job/beat; sleep 0.05; done"
    program = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen({room.command(['/bin/sh', '-c', beat])!r})\n"
        "p.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        deadline = time.monotonic() + 10
        while not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert mark.exists()
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    before = ""
    while time.monotonic() < deadline:
        now = mark.read_text()
        if now == before:
            break
        before = now
        time.sleep(0.3)
    assert mark.read_text() == before


def test_without_means_the_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="bubblewrap"):
        Room(tmp_path).command(["/bin/true"])
    assert "bubblewrap" in probe_room(tmp_path)


def test_a_home_within_the_python_environment_is_refused(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the interpreter was installed into a person's own folder."""
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    with pytest.raises(Refused, match="could read this farm's home"):
        room.command(["/bin/true"])
    assert "FARMCTL_HOME" in probe_room(room.folder)


def test_the_trainer_runs_inside(room: Room) -> None:
    """With nothing to train it says so, which takes the interpreter and the farm's package."""
    (room.folder / "job.json").write_text('{"kind": "none", "total_steps": 1}')
    command = room.python("farmctl.training.run", "/job")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "there is no trainer 'none'" in done.stdout, done.stderr


def test_an_environment_below_tmp_is_seen_inside(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone in /tmp keeps its Python there, where the room has a folder of its own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as prefix:
        (Path(prefix) / "seen").write_text("yes")
        monkeypatch.setattr(sys, "prefix", prefix)
        done = run(room, f"cat {prefix}/seen && touch /tmp/mine && ! touch {prefix}/mine")
    assert (done.returncode, done.stdout) == (0, "yes"), done.stderr
