"""A real SSH server on loopback, run by this user with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from farmctl.fleet.ssh import Destination
from tests.support.ports import free_port

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class SshServer:
    destination: Destination
    fingerprint: str
    folder: Path


def create_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, timeout=10)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    binary = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if binary is None or shutil.which("ssh-keygen") is None:
        pytest.skip("not run: no SSH server here; install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd refuses to start without it
    folder, port = tmp_path_factory.mktemp("sshd"), free_port()
    for name in ("host_key", "client_key"):
        create_key(folder / name)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(port=port, folder=folder))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binary, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log
        )
    try:
        wait_for_port(port, process, folder / "log")
        identity = str(folder / "client_key")
        destination = Destination(getpass.getuser(), "127.0.0.1", port, identity)
        yield SshServer(destination, fingerprint_of(folder / "host_key.pub"), folder)
    finally:
        process.terminate()
        process.wait(10)


def fingerprint_of(public_key: Path) -> str:
    command = ["ssh-keygen", "-l", "-f", str(public_key)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    return shown.stdout.split()[1]


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    raise AssertionError(f"sshd did not start: {log.read_text()}")
