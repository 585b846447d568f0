"""A farm's inference on loopback, of real processes: the bus, runners with their devices, and here
the node's part of it without a chain."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from farmctl import bus_server, nats_bus
from farmctl.agent.lines import Assign, encode_line
from farmctl.bus_engine import BusEngine
from farmctl.config import Config, load
from farmctl.domain import Priority, Workload
from farmctl.errors import BusError
from farmctl.messages import AssignmentMessage, ModelReply, ModelRequest
from farmctl.model_transfer import give
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from tests.support.ports import free_port

FAMILIES = Path(__file__).parent / "families"
START_SECONDS = 60.0


class RunnerProcess:
    """A runner that answers INFER on its device."""

    def __init__(self, home: Path, rig: str, device: str, environment: dict[str, str]) -> None:
        self.key = f"{rig}/{device}"
        self._device = device
        self._log = home / f"{rig}.log"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FARMCTL_")},
            **{"FARMCTL_HOME": str(home), "FARMCTL_FARM_RIG": rig},
            **{"FARMCTL_DRIVERS": str(FAMILIES)},
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "start comes first"
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """Of the process that has the device."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        (child,) = "".join((each / "children").read_text() for each in threads).split()
        return int(child)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "farmctl.agent.runner", self._device],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=self._environment,
            )
        assignment = AssignmentMessage(
            device=self._device,
            workload=Workload.IDLE,
            priority=Priority.INFER_RESERVE,
            reason="benchmark",
            infer_reserve=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(encode_line(Assign(plan_number=1, assignment=assignment)))
        self._process.stdin.flush()

    def stop(self) -> None:
        """Let it go, or end it where it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


class InferFarm:
    """Start and stop it on one event loop; ``engine`` is for threads."""

    def __init__(self, home: Path, timeout_seconds: float = 10.0, **settings: str) -> None:
        self._home = home
        ports = {f"FARMCTL_{name}_PORT": str(free_port()) for name in ("BUS", "API", "NODE")}
        self._settings = {"FARMCTL_HOME": str(home / "farm"), **ports, **settings}
        self.config: Config = load(self._settings)
        self.storage = DirectoryStorage(home / "models")
        self.loader = GraphLoader(self.storage, extended=True)
        self.engine = BusEngine(timeout_seconds)
        self.runners: dict[str, RunnerProcess] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._bus: nats_bus.NatsBus | None = None

    @property
    def bus(self) -> nats_bus.NatsBus:
        """As the node joins it."""
        assert self._bus is not None, "start comes first"
        return self._bus

    async def start(self) -> None:
        self.start_bus()
        self._bus = await nats_bus.connect(self.config.bus_url, self.config.bus_seed, "node")
        await self._bus.serve("node.model", ModelRequest, self._give)
        await self.engine.join(self._bus)

    async def stop(self) -> None:
        for runner in self.runners.values():
            await asyncio.to_thread(runner.stop)
        if self._bus is not None:
            await self._bus.close()
        self.stop_bus()

    def start_bus(self) -> None:
        settings = bus_server.prepare(self.config)
        with (self._home / "bus.log").open("ab") as log:
            command = [str(bus_server.find_server()), "-c", str(settings)]
            self._server = subprocess.Popen(command, stderr=log, stdout=log)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.config.bus.port)) == 0:
                    return
            time.sleep(0.01)
        raise BusError("nats-server did not start; see bus.log")

    def stop_bus(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.kill()
            server.wait()

    async def add(self, rig: str, device: str = "cpu:0") -> RunnerProcess:
        """A rig with one device that answers; return when it does."""
        home = self._home / rig
        secrets = home / "secrets"
        secrets.mkdir(parents=True)
        shutil.copy(self.config.bus_seed, secrets / "bus.seed")
        environment = {k: v for k, v in self._settings.items() if k != "FARMCTL_HOME"}
        runner = RunnerProcess(home, rig, device, environment)
        self.runners[runner.key] = runner
        runner.start()
        await self.present(runner.key)
        return runner

    async def present(self, device: str, is_there: bool = True) -> None:
        """Until the device is known to be there, or gone."""
        await self.until(
            lambda: (device in {each.device for each in self.engine.board.statuses()}) is is_there
        )

    async def until(self, holds: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)

    async def _give(self, request: ModelRequest) -> ModelReply:
        return give(self.storage.read, request)
