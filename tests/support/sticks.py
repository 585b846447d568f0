"""The sticks' reference firmware on this machine: built with sanitizers, behind a real terminal."""

from __future__ import annotations

import os
import re
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "drivers" / "usbstick" / "firmware"


@dataclass
class Plugged:
    """A stick that is plugged in: ``port`` is what pyserial opens."""

    port: str
    process: subprocess.Popen[bytes]
    terminal: int

    def unplug(self) -> None:
        """At any moment, whatever it is at."""
        self.process.kill()
        self.process.wait()
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1


def build(target: str, folder: Path, sanitize: str = "") -> Path:
    """``target``: ``host``, or ``mps2`` for the board that `emulated` runs."""
    command = ["make", "-C", str(FIRMWARE), target, f"OUT={folder}", f"SANITIZE={sanitize}"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / {"host": "stick", "mps2": "stick.elf"}[target]


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sanitize = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    return build("host", tmp_path_factory.mktemp("firmware"), sanitize)


@contextmanager
def emulated(program: Path) -> Iterator[Plugged]:
    """The firmware on QEMU's model of a Cortex-M3 board, whose UART is a terminal here."""
    command = ["qemu-system-arm", "-M", "mps2-an385", "-kernel", str(program)]
    quiet = ["-display", "none", "-monitor", "none", "-serial", "pty"]
    process = subprocess.Popen([*command, *quiet], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        said = process.stdout.readline().decode()
        found = re.search(r"/dev/pts/\d+", said)
        assert found, said
        yield Plugged(found[0], process, -1)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def plugged(program: Path, serial: str = "TEST0001", **readings: int) -> Iterator[Plugged]:
    """``readings``: ``centidegrees``, ``millivolts``. A fault that a sanitizer finds shows as an
    error of the firmware at the end."""
    controller, terminal = os.openpty()
    tty.setraw(terminal)
    sensors = {f"STICK_{name.upper()}": str(value) for name, value in readings.items()}
    process = subprocess.Popen(
        [program],
        stdin=controller,
        stdout=controller,
        stderr=subprocess.PIPE,
        env={**os.environ, "STICK_SERIAL": serial, **sensors},
    )
    os.close(controller)
    stick = Plugged(os.ttyname(terminal), process, terminal)
    try:
        yield stick
    finally:
        died = process.poll()
        stick.unplug()
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
        process.stderr.close()
        assert died is None or died == -9, f"the firmware ended with {died}: {said}"
        assert "runtime error" not in said and "Sanitizer" not in said, said
