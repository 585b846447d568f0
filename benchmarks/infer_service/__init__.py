"""The farm's inference on loopback: real bus, runner and device behind the node's scheduler.

No result is kept: every request has an input of its own. ``single`` asks for one model, ``stream``
for a random one of eight each time, and ``stages`` says where the time of a small request goes.
Before anything is timed each model's answer is compared with the reference. The share of checks by
the reference is 0 here, as on a chain whose devices are believed by samples.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.infer_service.farm import InferFarm
from benchmarks.infer_service.models import NETS, convolutional_net
from benchmarks.zoo.catalogue import Net, find
from drivers.base import Capability
from drivers.worker import open_session
from farmctl.inference.messages import InferReply, InferRequest, worker_subject
from node.inference import Inference
from node.lowering import lower
from node.spec.cvm import Graph
from node.spec.cvm import run as run_reference
from node.spec.cvm.execution import decode_input
from node.spec.cvm.words import to_contract_form
from tests.node.workshop import dense_model

REQUESTS, QUICK_REQUESTS = 2000, 200
CLIENTS = (1, 8, 32)
#: A large net has to come over the bus first.
ZOO_SECONDS = 120.0
SEED = 20260


class Model:
    def __init__(self, name: str, farm: InferFarm, files: tuple[bytes, bytes]) -> None:
        self.name = name
        self.infohash = farm.storage.put_model(*files)
        self.graph: Graph = farm.loader.load(self.infohash)
        self._random = np.random.default_rng(SEED)
        self._count = itertools.count()

    def input(self) -> bytes:
        """Another each time."""
        data = self._random.integers(-127, 128, self.graph.input_bytes, dtype=np.int8)
        count = np.frombuffer(next(self._count).to_bytes(4, "little"), np.int8)
        data[:4] = count[: data.size]
        return data.tobytes()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rigs", type=int, default=1, help="runners on this machine's processor")
    parser.add_argument(
        "--zoo",
        type=lambda text: tuple(text.split(",")),
        default=(),
        help="nets of benchmarks/zoo for the stream, e.g. squeezenet,resnet-50; minutes to check",
    )


def run(quick: bool, rigs: int = 1, zoo: tuple[str, ...] = ()) -> dict[str, Any]:
    """Raises `ValueError` for a net that is not in the zoo."""
    nets = [find(name) for name in zoo]
    with tempfile.TemporaryDirectory() as folder:
        requests = QUICK_REQUESTS if quick else REQUESTS
        return asyncio.run(measure(Path(folder), requests, rigs, nets))


async def measure(home: Path, requests: int, rigs: int, zoo: list[Net]) -> dict[str, Any]:
    farm = InferFarm(home, ZOO_SECONDS if zoo else 10.0)
    try:
        await farm.start()
        for number in range(rigs):
            await farm.add(f"rig-{number}")
        inference = Inference(farm.loader, farm.engine)
        dense = Model("dense 6→3", farm, dense_model())
        nets = [Model(net.name, farm, read_zoo(net)) for net in zoo] or [
            Model(f"{side}×{side}×{channels}", farm, convolutional_net(side, channels))
            for side, channels in NETS
        ]
        fewer = requests if not zoo else max(20, requests // 20)
        for model in (dense, *nets):
            await check(inference, model)
        found = {
            "stages": await measure_stages(farm, inference, dense, requests),
            "single": [
                await drive(inference, model.name, itertools.repeat(model), clients, count)
                for model, count in ((dense, requests), *((net, fewer) for net in nets[-1:]))
                for clients in CLIENTS
            ],
            "stream": [
                await drive(inference, f"one of {len(nets)}", draw(nets), clients, fewer)
                for clients in CLIENTS
            ],
            "workers": [
                {
                    "device": each.device,
                    "requests": each.requests,
                    "runs": each.batches,
                    "requests_per_run": each.requests / max(1, each.batches),
                }
                for each in farm.engine.board.statuses()
            ],
        }
        await asyncio.to_thread(inference.close)
        return {"rigs": rigs, "checked": len(nets) + 1, **found}
    finally:
        await farm.stop()


def read_zoo(net: Net) -> tuple[bytes, bytes]:
    """In the extension form."""
    from benchmarks.zoo.integers import EXTENSION, model_folder

    folder = model_folder(net, EXTENSION)
    return (folder / "symbol").read_bytes(), (folder / "params").read_bytes()


def draw(models: list[Model]) -> Iterator[Model]:
    random = np.random.default_rng(SEED)
    while True:
        yield models[int(random.integers(len(models)))]


async def check(inference: Inference, model: Model) -> None:
    data = model.input()
    # In a thread: a large net takes the reference so long that the bus would hang up.
    expected = to_contract_form(
        model.graph, await asyncio.to_thread(run_reference, model.graph, data)
    )
    answer = await asyncio.to_thread(inference.run, model.infohash, data, 0)
    if answer != expected:
        raise AssertionError(f"{model.name}: the farm's answer differs from the reference")


async def drive(
    inference: Inference, name: str, models: Iterator[Model], clients: int, requests: int
) -> dict[str, Any]:
    """So many clients, each asking again once it is answered."""
    times: list[float] = []
    left = iter(range(requests))

    async def ask() -> None:
        for _ in left:
            model = next(models)
            data = model.input()
            began = time.perf_counter()
            await asyncio.to_thread(inference.run, model.infohash, data, 0)
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(clients)))
    return {
        "model": name,
        "clients": clients,
        "requests": len(times),
        "requests_per_second": len(times) / (time.perf_counter() - began),
        **quantiles(times),
    }


async def measure_stages(
    farm: InferFarm, inference: Inference, model: Model, requests: int
) -> list[dict[str, Any]]:
    """A small request, one at a time: the device's process alone, then all up to the bus, then
    all up to the scheduler; and a result that is kept."""
    session = await asyncio.to_thread(open_session, "cpu", "cpu:0", Capability.INFER)
    await asyncio.to_thread(session.load, "m", lower(model.graph))
    words = decode_input(model.graph, model.input()).astype("<i4").tobytes()
    device = farm.engine.board.statuses()[0].device
    bus = farm.bus
    kept = model.input()

    async def through_pipe() -> None:
        session.run("m", words)

    async def over_bus() -> None:
        request = InferRequest(model=model.infohash.hex(), input=model.input(), seconds=10)
        await bus.request(worker_subject(device), request, InferReply, 10)

    async def by_scheduler() -> None:
        await asyncio.to_thread(inference.run, model.infohash, model.input(), 0)

    async def kept_already() -> None:
        inference.run(model.infohash, kept, 0)

    await asyncio.to_thread(inference.run, model.infohash, kept, 0)
    stages: dict[str, Callable[[], Awaitable[None]]] = {
        "device's process": through_pipe,
        "and the bus": over_bus,
        "and the scheduler": by_scheduler,
        "kept result": kept_already,
    }
    rows = []
    for name, step in stages.items():
        times = []
        for _ in range(min(requests, 500)):
            began = time.perf_counter()
            await step()
            times.append(time.perf_counter() - began)
        rows.append({"up to": name, **quantiles(times)})
    session.close()
    return rows


def quantiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50_milliseconds": statistics.median(ordered) * 1e3,
        "p99_milliseconds": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3,
        "least_milliseconds": ordered[0] * 1e3,
    }
