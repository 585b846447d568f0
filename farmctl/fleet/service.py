"""A rig's agent as a service of its machine: by systemd where it runs for this user, else by a
keeper process of ours, which does not come back after a reboot."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from farmctl.child import Child, Spec
from farmctl.errors import Conflict, StoreError, Unavailable
from farmctl.supervisor import wait_for_stop

UNIT = "farmctl-rig.service"
COMMAND_SECONDS = 30.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.1
LOCK_TRIES = 5
UNIT_TEXT = """\
[Unit]
Description=farmctl agent
After=network-online.target

[Service]
Environment=FARMCTL_HOME={home}
ExecStart={python} -m farmctl agent
Restart=always
RestartSec=2
KillMode=mixed
TimeoutStopSec=45

[Install]
WantedBy=default.target
"""


def start(home: Path, use_systemd: bool = True) -> str:
    """Start the agent of this home and have it kept; returns by whom, for people. Raises
    `Conflict` when one is kept already."""
    if is_kept(home) or _unit_is_of(home):
        raise Conflict(f"the agent of {home} runs already")
    if use_systemd and _systemd_runs() and not _unit_path().exists():
        return _start_unit(home)
    _start_keeper(home)
    return "a process of its own; it has to be started again after a reboot"


def stop(home: Path) -> None:
    """Stop the agent of this home, if it runs. Raises `Unavailable` when it does not end."""
    if _unit_is_of(home):
        _systemctl("disable", "--now", UNIT)
        _unit_path().unlink()
        _systemctl("daemon-reload")
    if is_kept(home):
        _stop_keeper(home)


def is_kept(home: Path) -> bool:
    """Whether a keeper holds this home."""
    try:
        with _pid_file(home).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


async def keep(home: Path) -> None:
    """Run the agent, again whenever it ends, until asked to stop. Raises `Conflict` when another
    keeper holds the home."""
    with _held(_pid_file(home)):
        agent = Spec("agent", (sys.executable, "-m", "farmctl", "agent"), _at_once)
        child = Child(agent, home / "logs", echo=False)
        await child.start()
        try:
            await wait_for_stop()
        finally:
            await child.stop()


async def _at_once() -> bool:
    return True


def _pid_file(home: Path) -> Path:
    return home / "rig" / "keeper.pid"


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a pid file for as long as this process lives."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    with file:
        if not _lock(file.fileno()):
            raise Conflict(f"another keeper holds {path.parent}")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock(handle: int) -> bool:
    """Several tries: whoever asks `is_kept` holds the lock for a moment."""
    for _ in range(LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(POLL_SECONDS)
    return False


def _start_keeper(home: Path) -> None:
    folder = home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "keeper.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "farmctl", "rig", "keep"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"FARMCTL_HOME": str(home)},
            start_new_session=True,
        )
    deadline = time.monotonic() + COMMAND_SECONDS
    while not is_kept(home):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"the agent did not start; see {folder / 'keeper.log'}")
        time.sleep(POLL_SECONDS)


def _stop_keeper(home: Path) -> None:
    """The lock tells that the pid is the keeper's and no other process's."""
    pid = int(_pid_file(home).read_text())
    for number, patience_seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            if not is_kept(home):
                return
            time.sleep(POLL_SECONDS)
    raise Unavailable(f"process {pid}, which keeps the agent of {home}, does not end")


def _unit_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "systemd" / "user" / UNIT


def _unit_is_of(home: Path) -> bool:
    """Whether systemd was told to keep the agent of this home."""
    path = _unit_path()
    return path.exists() and f"FARMCTL_HOME={home}\n" in path.read_text()


def _start_unit(home: Path) -> str:
    path = _unit_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(UNIT_TEXT.format(home=home, python=shlex.quote(sys.executable)))
    _systemctl("daemon-reload")
    if not _systemctl("enable", "--now", UNIT):
        path.unlink()
        raise Unavailable(f"systemd did not start {UNIT}; see `journalctl --user -u {UNIT}`")
    if _run("loginctl", "enable-linger"):
        return f"systemd, as {UNIT}"
    return f"systemd, as {UNIT}, while this user is logged in: `loginctl enable-linger` needs root"


def _systemd_runs() -> bool:
    """Whether systemd manages services of this user."""
    return _systemctl("list-units", "--quiet", "--no-pager")


def _systemctl(*words: str) -> bool:
    return _run("systemctl", "--user", *words)


def _run(*command: str) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def run_keeper(home: Path) -> None:
    asyncio.run(keep(home))
