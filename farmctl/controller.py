"""The controller process: planner, executor, telemetry and the HTTP API with the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Iterator

import uvicorn

from farmctl import nats_bus, timers
from farmctl.api.app import build_app
from farmctl.browsers.messages import MESSAGE_BYTES_LIMIT
from farmctl.bus import Bus
from farmctl.config import Config
from farmctl.domain import LENT_RIG
from farmctl.errors import Unavailable
from farmctl.farm import Farm
from farmctl.files import write_secret
from farmctl.inference.messages import InferenceStatus
from farmctl.messages import (
    ArtifactChunk,
    ArtifactRequest,
    InventoryReport,
    NodeStatus,
    ReadingBatch,
    RigEvent,
)
from farmctl.store import Store, tokens
from farmctl.synapse.messages import SynapseStatus

BUS_PATIENCE_SECONDS = 30.0
SHUTDOWN_SECONDS = 5


async def run(config: Config) -> None:
    """Until SIGTERM or SIGINT. Raises `FarmError` when it cannot start."""
    store = Store(config.store_url)
    bus = await nats_bus.connect(
        config.bus_url, config.bus_seed, "controller", BUS_PATIENCE_SECONDS
    )
    farm = Farm(config, store, bus)
    admit_local_admin(farm)
    farm.executor.load()
    await listen(farm, bus)
    scheduler = timers.start(farm)
    try:
        await _serve(farm)
    finally:
        scheduler.shutdown(wait=False)
        farm.telemetry.flush()
        await farm.browsers.close()
        await farm.node.close()
        await bus.close()
        store.close()


def admit_local_admin(farm: Farm) -> None:
    """Make the local admin's token where there is none, and let it in."""
    path = farm.config.admin_token
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32))
    secret = path.read_text().strip()
    now = farm.clock()
    with farm.store.begin() as tx:
        if tokens.find(tx, secret, now) is None:
            tokens.create(tx, "local admin", frozenset({"admin"}), now, secret=secret)


async def listen(farm: Farm, bus: Bus) -> None:
    """Join the controller's parts to the bus."""
    farm.keeper.forget(LENT_RIG)
    await bus.subscribe("inventory.*", InventoryReport, farm.keeper.receive)
    await bus.subscribe("reading.*", ReadingBatch, farm.telemetry.receive)
    await bus.subscribe("node.status", NodeStatus, farm.node_status.receive)
    await bus.subscribe("node.inference", InferenceStatus, farm.inference.receive)
    await bus.subscribe("synapse.status", SynapseStatus, farm.synapse.receive)
    await bus.serve("artifact.put", ArtifactChunk, farm.artifacts.put, queue="controller")
    await bus.serve("artifact.get", ArtifactRequest, farm.artifacts.get, queue="controller")
    await bus.consume("event.>", "controller", RigEvent, farm.reports.hear)


def build_server(farm: Farm) -> Server:
    api = farm.config.api
    settings = uvicorn.Config(
        build_app(farm),
        host=api.host,
        port=api.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
        ws_max_size=MESSAGE_BYTES_LIMIT,
    )
    return Server(settings, farm)


async def _serve(farm: Farm) -> None:
    server, api = build_server(farm), farm.config.api
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    await server.serve()
    if not server.started:
        raise Unavailable(f"cannot listen on {api.host}:{api.port}; set [api] port in farm.toml")


class Server(uvicorn.Server):
    """Ends the open event streams first, or they would hold the shutdown up; leaves signals to
    the process, so that everything is closed in order."""

    def __init__(self, config: uvicorn.Config, farm: Farm) -> None:
        super().__init__(config)
        self._farm = farm

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self._farm.live.close()
        self.should_exit = True
