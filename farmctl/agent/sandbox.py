"""A closed room for a customer's job: no network, no secrets, one writable folder.

Built by bubblewrap in new namespaces: the Python environment and the system's libraries
read-only, a private ``/tmp``, the job's folder at ``/job``, nothing of the rig's environment
variables, no privileges, limits on memory, files and processes. The room ends with its parent.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import farmctl
from farmctl.errors import Refused

JOB_FOLDER = "/job"
CODE_FOLDER = "/farm"
_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_CURE = "install the package `bubblewrap` on this rig, with user namespaces allowed"


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
        """The command line that runs ``arguments`` inside. Raises `Refused` without one."""
        bubblewrap = shutil.which("bwrap")
        if bubblewrap is None:
            raise Refused(f"Jobs cannot be isolated here: {_CURE}.")
        return [
            *self._limit_command(),
            bubblewrap,
            *_NAMESPACES,
            *_read_only_view(),
            *self._writable(),
            *self._environment(),
            "--",
            *arguments,
        ]

    def python(self, module: str, *arguments: str) -> list[str]:
        """Run a module of the farm's own package inside, with this very interpreter."""
        return self.command([sys.executable, "-P", "-m", module, *arguments])

    def _limit_command(self) -> list[str]:
        prlimit = shutil.which("prlimit")
        if prlimit is None:
            raise Refused("Jobs cannot be limited here: install util-linux's `prlimit`.")
        limits = self.limits
        return [
            prlimit,
            f"--as={limits.address_space_bytes}",
            f"--fsize={limits.file_bytes}",
            f"--nofile={limits.open_files}",
            f"--nproc={limits.processes}",
            "--core=0",
            "--",
        ]

    def _writable(self) -> list[str]:
        size = str(self.limits.temporary_bytes)
        return [
            *("--size", size, "--tmpfs", "/tmp"),
            *("--bind", str(self.folder.resolve()), JOB_FOLDER),
            *("--chdir", JOB_FOLDER, "--remount-ro", "/"),
        ]

    def _environment(self) -> list[str]:
        values = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "PYTHONPATH": CODE_FOLDER,
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            **(self.environment or {}),
        }
        pairs = [("--setenv", name, value) for name, value in values.items()]
        return ["--clearenv", *(word for pair in pairs for word in pair)]


_NAMESPACES = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
    *("--unshare-cgroup-try", "--die-with-parent", "--new-session"),
    *("--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "job"),
)


def _read_only_view() -> list[str]:
    words = ["--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"]
    for folder in _SYSTEM_FOLDERS:
        path = Path(folder)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), folder]
        elif path.is_dir():
            words += ["--ro-bind", folder, folder]
    for file in _SYSTEM_FILES:
        words += ["--ro-bind-try", file, file]
    for folder in sorted({sys.prefix, sys.base_prefix, str(_interpreter_home())}):
        if not folder.startswith("/usr"):
            words += ["--ro-bind", folder, folder]
    code = Path(farmctl.__file__).resolve().parent
    return [*words, "--ro-bind", str(code), f"{CODE_FOLDER}/farmctl"]


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
