"""A farm's home of its own for each test, and a real bus server where one is asked for."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import drivers
from drivers import registry
from farmctl import bus_server
from farmctl.config import Config, load
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def _families_end_with_their_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test adds by ``FARMCTL_DRIVERS`` is not found by the next."""
    monkeypatch.setattr(drivers, "__path__", list(drivers.__path__))
    monkeypatch.setattr(registry, "_drivers", dict(registry._drivers))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(
        {
            "FARMCTL_HOME": str(tmp_path / "home"),
            "FARMCTL_FARM_RIG": "rig-a",
            "FARMCTL_BUS_PORT": str(free_port()),
            "FARMCTL_API_PORT": str(free_port()),
            "FARMCTL_NODE_PORT": str(free_port()),
        }
    )


class BusServer:
    """A real nats-server that a test can kill and start again."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        path = bus_server.prepare(self.config)
        command = [str(bus_server.find_server()), "-c", str(path)]
        log = self.config.home / "bus.log"
        with log.open("ab") as written:
            self.process = subprocess.Popen(command, stderr=written)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.config.bus.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError(f"nats-server did not start: {log.read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(10)


@pytest.fixture
def bus_process(config: Config) -> Iterator[BusServer]:
    server = BusServer(config)
    server.start()
    yield server
    server.stop()
