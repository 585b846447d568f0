"""``farmctl node synapse`` as a process, alone and beside a farm's node."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from farmctl.config import Config
from farmctl.errors import ConfigError, Unavailable
from farmctl.inference.messages import InferReply
from farmctl.messages import INFER_MISMATCH, FaultEvent, RigEvent
from farmctl.nats_bus import connect
from farmctl.node_home import held
from farmctl.supervisor import only_one
from farmctl.synapse.messages import SynapseStatus
from farmctl.synapse.process import SynapseProcess
from node.models.input_file import write_input
from node.models.storage.directory import DirectoryStorage
from tests.farmctl.conftest import BusServer
from tests.farmctl.synapse.farm import FarmStandIn, Served
from tests.node.synapse.go_client import GoClient, RuntimeError_
from tests.node.workshop import dense_model
from tests.support.ports import free_port

INPUT = np.array([[1, 2, 3, 4, 5, 6]], np.int8)
DATA = INPUT.tobytes()
RESULT = bytes.fromhex("0000005b000000030000000f")


@contextmanager
def started(config: Config, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = [sys.executable, "-m", "farmctl", "node", "synapse", "--listen", f"127.0.0.1:{port}"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "FARMCTL_HOME": str(config.home),
        "FARMCTL_BUS_PORT": str(config.bus.port),
    }
    config.home.mkdir(parents=True, exist_ok=True)
    with (config.home / "synapse.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], env=environment, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            assert process.poll() is None, (config.home / "synapse.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_alone_on_this_machines_processor(config: Config, tmp_path: Path) -> None:
    """From another node's folder of contents, and on when its worker is killed."""
    theirs = DirectoryStorage(tmp_path / "storage")
    model, given = theirs.put_model(*dense_model()), theirs.put_input(write_input(INPUT))
    options = ("--engine", "cpu", "--folder", str(tmp_path / "storage"))
    with started(config, *options) as (process, port), GoClient(port) as client:
        assert client.infer_by_hash(model, given) == RESULT
        assert client.gas(model) == 189
        (worker,) = psutil.Process(process.pid).children()
        worker.suspend()  # stands for one that computes for long
        threading.Timer(0.3, worker.kill).start()
        with pytest.raises(RuntimeError_, match="cpu:0: the worker ended"):
            client.infer_by_content(model, DATA[::-1])
        assert len(client.infer_by_content(model, DATA[::-1])) == 12
        state = httpx.get(f"http://127.0.0.1:{port}/healthz").json()
        assert state["engine"] == "cpu:0 of this machine"
        assert state["requests"]["unavailable"] == 1


@pytest.fixture
async def farm(
    bus_process: BusServer, config: Config, tmp_path: Path
) -> AsyncIterator[FarmStandIn]:
    bus = await connect(config.bus_url, config.bus_seed, "node")
    made = FarmStandIn(bus, tmp_path / "farms")
    await made.join()
    yield made
    await made.leave()


@pytest.fixture
async def served(config: Config) -> AsyncIterator[Served]:
    made = Served(config)
    await made.ready()
    yield made
    await made.stop()


async def test_a_farms_devices_answer(farm: FarmStandIn, served: Served) -> None:
    model, given = (
        farm.storage.put_model(*dense_model()),
        farm.storage.put_input(write_input(INPUT)),
    )
    assert await served.ask(model, given=given) == RESULT
    assert await served.ask(model, DATA) == RESULT
    assert farm.asked == 1  # its content is the same


async def test_this_machine_computes_what_the_farms_node_has(
    farm: FarmStandIn, config: Config
) -> None:
    served = Served(config, "cpu")
    await served.ready()
    given = farm.storage.put_input(write_input(INPUT))
    assert await served.ask(farm.storage.put_model(*dense_model()), given=given) == RESULT
    assert farm.asked == 0
    await served.stop()


async def test_it_tells_the_farm_how_it_does(farm: FarmStandIn, served: Served) -> None:
    told: list[SynapseStatus] = []

    async def hear(_: str, status: SynapseStatus) -> None:
        told.append(status)

    await farm.bus.subscribe("synapse.status", SynapseStatus, hear)
    await served.ask(farm.storage.put_model(*dense_model()), DATA)
    async with asyncio.timeout(10):
        while not told or not told[-1].requests["ok"]:
            await asyncio.sleep(0.01)
    assert told[-1].engine == "the farm's devices"
    assert told[-1].listen == f"127.0.0.1:{served.port}"
    assert told[-1].kept_results == told[-1].resident_models == 1
    assert told[-1].p50_milliseconds is not None


async def test_a_farm_that_says_other_things(farm: FarmStandIn, served: Served) -> None:
    """Outages are runtime errors, claims of faults are judged, and a liar is reported."""
    model = farm.storage.put_model(*dense_model())
    farm.judge = lambda _: InferReply(status="unavailable", detail="cvm kernel logic error")
    with pytest.raises(RuntimeError_, match="cvm kernel runtime error"):
        await served.ask(model, DATA)
    told: list[RigEvent] = []

    async def hear(_: str, event: RigEvent) -> None:
        told.append(event)

    await farm.bus.consume("event.*", "test", RigEvent, hear)
    farm.judge = lambda _: InferReply(status="logic_error")
    assert await served.ask(model, DATA) == RESULT
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    assert told[0].rig == "rig-a" and "infer_mismatch" in told[0].model_dump_json()


async def test_a_device_that_the_node_found_wrong_is_not_believed(
    farm: FarmStandIn, served: Served
) -> None:
    model = farm.storage.put_model(*dense_model())
    assert await served.ask(model, DATA) == RESULT
    fault = FaultEvent(device="cpu:0", code=INFER_MISMATCH, step="quarantine")
    event = RigEvent(id="1", rig="rig-a", at=time.time(), body=fault)
    await farm.bus.append("event.rig-a", event, event.id)
    async with asyncio.timeout(10):
        while True:
            try:
                await served.ask(model, DATA)
            except RuntimeError_ as error:
                assert "no INFER worker" in str(error)  # the kept result is gone, too
                return
            await asyncio.sleep(0.01)


async def test_a_bus_that_goes_and_comes(
    farm: FarmStandIn, served: Served, bus_process: BusServer
) -> None:
    model = farm.storage.put_model(*dense_model())
    assert await served.ask(model, DATA) == RESULT
    bus_process.stop(signal.SIGKILL)
    assert await served.ask(model, DATA) == RESULT  # it is kept
    with pytest.raises(RuntimeError_, match="cvm kernel runtime error"):
        await served.ask(model, DATA[::-1])
    await asyncio.to_thread(bus_process.start)
    async with asyncio.timeout(30):
        while True:
            try:
                assert len(await served.ask(model, DATA[::-1])) == 12
                return
            except RuntimeError_:
                await asyncio.sleep(0.1)


async def test_what_the_farm_does_not_have(farm: FarmStandIn, config: Config) -> None:
    quick = replace(config, synapse=replace(config.synapse, deadline_seconds=1.0))
    served = Served(quick)
    await served.ready()
    model = DirectoryStorage(config.home / "aside").put_model(*dense_model())
    with pytest.raises(RuntimeError_, match="no result within 1 s"):
        await served.ask(model, DATA)
    assert farm.storage.put_model(*dense_model()) == model
    assert await served.ask(model, DATA) == RESULT
    await served.stop()


async def test_a_home_in_use(config: Config) -> None:
    synapse = replace(config.synapse, listen="127.0.0.1:0", engine="reference")
    with held(config.home / "node"), pytest.raises(Unavailable, match="another node runs"):
        await SynapseProcess(replace(config, synapse=synapse)).run()


@pytest.mark.parametrize("engine", ["auto", "reference"])
async def test_while_a_farms_bus_is_away_the_home_is_left_to_its_node(
    config: Config, engine: str
) -> None:
    with only_one(config.home):
        served = Served(config, engine)
        await served.ready()
        with held(config.home / "node"):
            await served.stop()


def test_the_command_says_what_is_wrong(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    from farmctl.commands.synapse import with_sources, with_synapse

    assert with_synapse(config).synapse.listen == "127.0.0.1:4321"
    with pytest.raises(ConfigError, match=r"\[synapse\] engine is one of"):
        with_synapse(config, engine="gpu")
    with pytest.raises(ConfigError, match="listen"):
        with_synapse(config, listen="4321")
    storage = with_sources(config, None, ("10.0.0.1:6881",)).storage
    assert storage.torrent and storage.torrent_peers == ("10.0.0.1:6881",)
    with pytest.raises(ConfigError, match=r"\[storage\] 'somewhere' is no IP address"):
        with_sources(config, None, ("somewhere",))
