"""The farm around the machine: bus, controller and agent as processes, and a node played here
that gives work, checks what comes back, and listens."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.farm_of_all.machine import INFERRERS, ROOT, Everything
from farmctl import bus_server, nats_bus
from farmctl.client import ApiClient
from farmctl.config import Config, load
from farmctl.errors import BusError, FarmError
from farmctl.inference.messages import InferReply, InferRequest, worker_subject
from farmctl.messages import (
    FaultEvent,
    InventoryReport,
    Message,
    ModelReply,
    ModelRequest,
    Reading,
    ReadingBatch,
    RigEvent,
    Submission,
    SubmissionReply,
    Work,
)
from node.models.torrent import describe_folder
from node.spec import cvm
from node.spec.cuckoo import Verdict, graph_header, verify
from node.spec.cvm.writer import ModelWriter

RIG = "everything"
EDGE_BITS = 12
#: About every second solution is a share.
TARGET = "7f" + 62 * "f"
PROGRAMS = ("controller", "agent")
INFER_SECONDS = 0.15


class Site:
    def __init__(self, config: Config, machine: Everything) -> None:
        self.config, self.machine = config, machine
        self.faults: list[tuple[float, FaultEvent]] = []
        self.readings: dict[str, tuple[float, Reading]] = {}
        self.inventory: InventoryReport | None = None
        self.shares: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Inferences that differ from the reference."""
        self.wrong: list[str] = []
        """Cycles that came and are none. Must stay empty."""
        self._height = 1
        self._accepted: set[tuple[int, ...]] = set()
        self._seen: set[str] = set()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._model = _conv_model()
        self._infohash = describe_folder(self._model).infohash.hex()
        self._graph = cvm.load(self._model["symbol"], self._model["params"])

    @functools.cached_property
    def api(self) -> ApiClient:
        """Raises `Unavailable` before the controller has made its token."""
        return ApiClient(self.config)

    async def start(self) -> None:
        path = bus_server.prepare(self.config)
        self._spawn("bus", [str(bus_server.find_server()), "-c", str(path)])
        self.bus = await nats_bus.connect(self.config.bus_url, self.config.bus_seed, "trial", 30.0)
        await self.bus.subscribe("inventory.*", InventoryReport, self._note_inventory)
        await self.bus.subscribe("reading.*", ReadingBatch, self._note_readings)
        await self.bus.consume("event.*", "trial", RigEvent, self._note_event)
        await self.bus.serve("node.work", Message, self._give_work)
        await self.bus.serve("node.submit", Submission, self._judge)
        await self.bus.serve("node.model", ModelRequest, self._give_model)
        program = "from farmctl.cli import main; main()"
        for name in PROGRAMS:
            self._spawn(name, [sys.executable, "-c", program, name])

    async def stop(self) -> None:
        await self.bus.close()
        for name in (*reversed(PROGRAMS), "bus"):
            process = self._processes[name]
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(process.wait, 60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def infer(self) -> None:
        """Ask one device after another without end, and check each answer against the
        reference."""
        generator = np.random.default_rng(6)
        for device in itertools.cycle(INFERRERS):
            given = generator.integers(-127, 128, 3 * 8 * 8).astype(np.int8).tobytes()
            request = InferRequest(model=self._infohash, input=given, seconds=20)
            with suppress(BusError):
                subject = worker_subject(f"{RIG}/{device}")
                reply = await self.bus.request(subject, request, InferReply, 20.0)
                if reply.status == "ok":
                    self._check_answer(device, reply.output, given)
            await asyncio.sleep(INFER_SECONDS)

    def runner_of(self, device: str) -> psutil.Process:
        agent = psutil.Process(self._processes["agent"].pid)
        for child in agent.children():
            with suppress(psutil.Error):
                command = child.cmdline()
                if "farmctl.agent.runner" in command and command[-1] == device:
                    return child
        raise RuntimeError(f"{device} has no runner")

    def worker_of(self, device: str) -> psutil.Process:
        for child in self.runner_of(device).children():
            with suppress(psutil.Error):
                if "drivers.worker_process" in child.cmdline():
                    return child
        raise RuntimeError(f"{device} has no session")

    async def view(self, device: str) -> dict[str, Any]:
        """The device as the API shows it."""
        return dict(await asyncio.to_thread(self.api.get, self.path(device)))

    def path(self, device: str) -> str:
        return f"/v1/devices/{RIG}/{device}"

    def faults_of(self, device: str, since: float) -> list[FaultEvent]:
        return [fault for at, fault in self.faults if fault.device == device and at >= since]

    def _spawn(self, name: str, command: list[str]) -> None:
        own = {k: v for k, v in os.environ.items() if not k.startswith("FARMCTL_")}
        given = self.machine.variables() if name == "agent" else {"PYTHONPATH": str(ROOT)}
        with (self.config.home / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command, env={**own, **variables(self.config), **given}, stderr=log, stdout=log
            )

    async def _note_inventory(self, _: str, report: InventoryReport) -> None:
        self.inventory = report

    async def _note_readings(self, _: str, batch: ReadingBatch) -> None:
        for reading in batch.readings:
            self.readings[reading.device] = time.monotonic(), reading

    async def _note_event(self, _: str, event: RigEvent) -> None:
        if event.id not in self._seen and isinstance(event.body, FaultEvent):
            self.faults.append((time.monotonic(), event.body))
        self._seen.add(event.id)

    def _work(self) -> Work:
        return Work(
            chain="trial",
            seal_hash=hashlib.sha256(str(self._height).encode()).hexdigest(),
            target=TARGET,
            height=self._height,
            edge_bits=EDGE_BITS,
            compression_rounds=4,
            finalisation_rounds=8,
        )

    async def _give_work(self, _: Message) -> Work:
        return self._work()

    async def _judge(self, submission: Submission) -> SubmissionReply:
        device = submission.worker.rpartition("/")[2]
        header = graph_header(bytes.fromhex(submission.seal_hash), submission.nonce)
        if (verdict := verify(header, submission.edges, EDGE_BITS)) is not Verdict.OK:
            self.wrong.append(f"{device}: {verdict.name}")
            return SubmissionReply(outcome="rejected", detail=verdict.name)
        if submission.edges in self._accepted:
            return SubmissionReply(outcome="rejected", duplicate=True)
        self._accepted.add(submission.edges)
        self.shares[device] += 1
        if submission.seal_hash != self._work().seal_hash:
            return SubmissionReply(outcome="stale")
        if len(self._accepted) % 8 == 0:
            self._height += 1
            await self.bus.publish("node.work.new", self._work())
        return SubmissionReply(outcome="accepted")

    async def _give_model(self, request: ModelRequest) -> ModelReply:
        content = self._model[request.file]
        chunk = content[request.offset : request.offset + 65536]
        return ModelReply(found=True, total_bytes=len(content), chunk=chunk)

    def _check_answer(self, device: str, output: bytes, given: bytes) -> None:
        if output != cvm.run(self._graph, given):
            self.refused[device] += 1
            return
        self.answers[device] += 1


def variables(config: Config) -> dict[str, str]:
    return {
        "FARMCTL_HOME": str(config.home),
        "FARMCTL_FARM_RIG": config.farm.rig,
        "FARMCTL_BUS_PORT": str(config.bus.port),
        "FARMCTL_API_PORT": str(config.api.port),
        "FARMCTL_NODE_PORT": str(config.node.port),
    }


def configure(home: Path) -> Config:
    from ports import free_port

    home.mkdir()
    ports = {f"FARMCTL_{name}_PORT": str(free_port()) for name in ("BUS", "API", "NODE")}
    return load({"FARMCTL_HOME": str(home), "FARMCTL_FARM_RIG": RIG, **ports})


@asynccontextmanager
async def running_site(machine: Everything) -> AsyncIterator[Site]:
    site = Site(configure(machine.folder / "home"), machine)
    try:
        await site.start()
        yield site
    finally:
        await site.stop()


async def until(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer; raises `RuntimeError` where there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"within {seconds:g} s not: {what}")
        await asyncio.sleep(0.1)
    return found


async def ask(site: Site, device: str, workload: str) -> None:
    """As a click in the dashboard, once the API answers."""
    for _ in range(120):
        with suppress(FarmError):
            path = f"{site.path(device)}/switch"
            await asyncio.to_thread(site.api.post, path, {"workload": workload, "lock": True})
            return
        await asyncio.sleep(0.5)
    raise RuntimeError(f"{device} cannot be switched to {workload}")


def _conv_model() -> dict[str, bytes]:
    """A convolution and a dense layer, which every family with INFER has room for."""
    generator = np.random.default_rng(1)
    writer = ModelWriter()
    entry = writer.add_input((1, 3, 8, 8), 8)
    kernel = generator.integers(-127, 128, (4, 3, 3, 3)).astype(np.int32)
    weight = writer.add_parameter("w", kernel, 8)
    entry = writer.add(
        "conv2d", "c", [entry, weight], channels=4, kernel_size=(3, 3), use_bias=False,
        padding=(1, 1), strides=(1, 1), groups=1,
    )  # fmt: skip
    entry = writer.add("cvm_right_shift", "s", [entry], precision=8, shift_bit=10)
    entry = writer.add("flatten", "f", [entry])
    dense = writer.add_parameter("d", generator.integers(-9, 10, (5, 256)).astype(np.int32), 8)
    entry = writer.add("dense", "o", [entry, dense], units=5, use_bias=False)
    symbol, params = writer.finish([entry])
    return {"symbol": symbol, "params": params}
