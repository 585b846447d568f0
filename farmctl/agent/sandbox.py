"""A closed room for a customer's job: no network, no secrets, one writable folder.

Built in new namespaces by bubblewrap, or by util-linux where that is not installed: the Python
environment and the system's libraries read-only, a private ``/tmp``, the job's folder at
``/job``, nothing of the rig's environment variables, no privileges, limits on memory, files and
processes. The room ends with its parent.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import farmctl
from farmctl.errors import Refused

JOB_FOLDER = "/job"
CODE_FOLDER = Path(farmctl.__file__).resolve().parent
"""Seen inside at its own place: an editable install finds the package by that path alone."""
_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_CURE = "install the package `bubblewrap` on this rig, and allow user namespaces"


@dataclass(frozen=True)
class RoomLimits:
    address_space_bytes: int = 16 * 2**30
    file_bytes: int = 4 * 2**30
    temporary_bytes: int = 2**30
    open_files: int = 1024
    processes: int = 256
    """Bounds only where the rig's agent is not root: the kernel exempts root."""


@dataclass(frozen=True)
class Room:
    """A sandbox for one job in ``folder``, its only writable place that stays."""

    folder: Path
    limits: RoomLimits = RoomLimits()
    environment: Mapping[str, str] | None = None

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs ``arguments`` inside. Raises `Refused` without one, and
        where what the job may read would hold this farm's home."""
        self._check_view()
        bubblewrap = find_bubblewrap()
        walls = self._bubblewrap(bubblewrap) if bubblewrap else self._namespaces()
        return [*self._limit_command(), *walls, *self._environment(), *arguments]

    def python(self, module: str, *arguments: str) -> list[str]:
        """Run a module of the farm's own package inside, with this very interpreter."""
        return self.command([sys.executable, "-P", "-m", module, *arguments])

    def _check_view(self) -> None:
        folder = self.folder.resolve()
        for kind, source, _ in read_only_view():
            if kind == "bind" and folder.is_relative_to(Path(source).resolve()):
                raise Refused(
                    f"Jobs could read this farm's home: it lies in {source}, which holds their "
                    "Python. Set FARMCTL_HOME to a folder elsewhere."
                )

    def _limit_command(self) -> list[str]:
        limits = self.limits
        return [
            _need("prlimit"),
            f"--as={limits.address_space_bytes}",
            f"--fsize={limits.file_bytes}",
            f"--nofile={limits.open_files}",
            f"--nproc={limits.processes}",
            "--core=0",
            "--",
        ]

    def _bubblewrap(self, program: str) -> list[str]:
        words = [program, *_BUBBLEWRAP, "--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"]
        # First /tmp: the Python environment may lie below it.
        words += ["--size", str(self.limits.temporary_bytes), "--tmpfs", "/tmp"]
        for kind, source, place in read_only_view():
            words += ["--symlink" if kind == "link" else "--ro-bind-try", source, place]
        return [
            *words,
            *("--bind", str(self.folder.resolve()), JOB_FOLDER),
            *("--chdir", JOB_FOLDER, "--remount-ro", "/", "--"),
        ]

    def _namespaces(self) -> list[str]:
        """The same room by util-linux alone; the kernel ends it with its parent."""
        root = self.folder.resolve().with_name("root")
        root.mkdir(parents=True, exist_ok=True)
        return [
            *(_need("setpriv"), "--pdeathsig", "KILL"),
            *(_need("unshare"), *_UNSHARE, "/bin/sh", str(_SCRIPT)),
            *(str(root), str(self.folder.resolve()), str(self.limits.temporary_bytes)),
            *(word for entry in read_only_view() for word in entry),
            "--",
        ]

    def _environment(self) -> list[str]:
        values = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(CODE_FOLDER.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            **(self.environment or {}),
        }
        return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in values.items())]


_BUBBLEWRAP = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
    *("--unshare-cgroup-try", "--die-with-parent", "--new-session"),
    *("--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "job"),
)
_UNSHARE = (
    *("--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"),
    *("--net", "--ipc", "--uts", "--cgroup"),
)
_SCRIPT = Path(__file__).with_name("room.sh")


def find_bubblewrap() -> str | None:
    return shutil.which("bwrap")


def _need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Refused(f"Jobs cannot be isolated here without `{program}`: {_CURE}.")
    return found


def read_only_view() -> list[tuple[Literal["bind", "link"], str, str]]:
    """What a job can see: what to bind or link to, and where."""
    view: list[tuple[Literal["bind", "link"], str, str]] = []
    for folder in _SYSTEM_FOLDERS:
        if Path(folder).is_symlink():
            view.append(("link", os.readlink(folder), folder))
        else:
            view.append(("bind", folder, folder))
    view += [("bind", file, file) for file in _SYSTEM_FILES]
    for folder in sorted({sys.prefix, sys.base_prefix, str(_interpreter_home())}):
        if not folder.startswith("/usr"):
            view.append(("bind", folder, folder))
    return [*view, ("bind", str(CODE_FOLDER), str(CODE_FOLDER))]


def _interpreter_home() -> Path:
    """Where the interpreter really lies, when the environment only links to it."""
    return Path(sys.executable).resolve().parent.parent


def probe_room(folder: Path) -> str:
    """Empty when a room can be made here, else the reason and its cure."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        command = Room(folder).command(["/bin/true"])
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except Refused as error:
        return str(error)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Jobs cannot be isolated here ({error}): {_CURE}."
    if done.returncode == 0:
        return ""
    said = done.stderr.decode(errors="replace").strip()[-300:]
    return f"Jobs cannot be isolated here ({said}): {_CURE}."
