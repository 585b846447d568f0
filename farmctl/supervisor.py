"""``farmctl up``: starts bus, node, controller and agent, keeps them, and stops them in order.

It holds no state of the farm: any process may die and is started again; when the supervisor
itself is killed, its children end with it, and the next start goes on from the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from farmctl import bus_server
from farmctl.child import Child, Spec
from farmctl.config import Config, own_address, with_ports
from farmctl.errors import Conflict, StoreError
from node.synapse.settings import split_endpoint

PROBE_SECONDS = 2.0
#: In the home, held by the supervisor as long as it runs.
LOCK = "up.lock"
FARM_TOML = """\
# Written at the first start; farmctl/config.py says what can be set, and what it means.
[farm]
rig = "{rig}"

[bus]
port = {bus}

[node]
port = {node}

[api]
port = {api}
"""


@dataclass
class Supervisor:
    config: Config
    echo: bool
    tell: Callable[[str], None]
    children: list[Child] = field(default_factory=list)

    async def start(self) -> None:
        """Start each part once the one before is ready. Raises `Unavailable`."""
        for spec in specs(self.config):
            began = time.monotonic()
            child = Child(spec, self.config.home / "logs", self.echo)
            self.children.append(child)
            await child.start()
            self.tell(f"{spec.name} is ready after {time.monotonic() - began:.1f} s")

    async def stop(self) -> None:
        """In reverse order, each within a bounded time."""
        for child in reversed(self.children):
            await child.stop()
            self.tell(f"{child.spec.name} stopped")


def specs(config: Config) -> list[Spec]:
    """The farm's processes in the order of their start."""
    itself = (sys.executable, "-m", "farmctl")
    began = time.time()
    parts = [
        Spec("node", (*itself, "node", "run"), lambda: node_answers(config)),
        Spec("controller", (*itself, "controller"), lambda: controller_answers(config)),
        Spec("agent", (*itself, "agent"), lambda: rig_is_seen(config, began), 90.0),
    ]
    if config.synapse.listen:
        serving = (*itself, "node", "synapse")
        parts.append(Spec("synapse", serving, lambda: synapse_answers(config)))
    if not config.bus.url:
        command = (str(bus_server.find_server()), "-c", str(bus_server.prepare(config)))
        address = (config.bus.host, config.bus.port)
        parts.insert(0, Spec("bus", command, lambda: port_answers(*address), 20.0))
    return parts


async def port_answers(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), PROBE_SECONDS)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def node_answers(config: Config) -> bool:
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
    async with httpx.AsyncClient(timeout=PROBE_SECONDS, trust_env=False) as client:
        try:
            answer = (await client.post(config.node_url, json=body)).json()
        except (httpx.HTTPError, ValueError):
            return False
    return "result" in answer


async def controller_answers(config: Config) -> bool:
    async with httpx.AsyncClient(timeout=PROBE_SECONDS, trust_env=False) as client:
        try:
            return (await client.get(f"{config.api_url}/healthz")).status_code == 200
        except httpx.HTTPError:
            return False


async def synapse_answers(config: Config) -> bool:
    host, port = split_endpoint(config.synapse.listen)
    return await port_answers(own_address(host).strip("[]"), port)


async def rig_is_seen(config: Config, since: float) -> bool:
    """Whether this machine's agent has reported to the controller since a time."""
    headers = {"Authorization": f"Bearer {config.admin_token.read_text().strip()}"}
    async with httpx.AsyncClient(timeout=PROBE_SECONDS, headers=headers, trust_env=False) as client:
        try:
            answer = await client.get(f"{config.api_url}/v1/rigs/{config.farm.rig}")
        except httpx.HTTPError:
            return False
    return answer.status_code == 200 and answer.json()["last_seen"] >= since


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the home for this process. Raises `Conflict` while another one holds it."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot write to {home}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise Conflict(f"`farmctl up` is running already on {home}; stop it first") from error
    try:
        yield
    finally:
        os.close(handle)


def is_up(home: Path) -> bool:
    """Whether `farmctl up` runs on the home, whichever of its processes are away just now."""
    try:
        with (home / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def settle_ports(config: Config) -> Config:
    """At the first start choose free ports and write them to farm.toml; later see that they are
    free. Raises `Conflict` naming the port that is not."""
    path = config.home / "farm.toml"
    if not path.exists():
        taken: set[int] = set()
        config = with_ports(
            config,
            bus=_free_port(config.bus.host, config.bus.port, taken),
            node=_free_port(config.node.host, config.node.port, taken),
            api=_free_port(config.api.host, config.api.port, taken),
        )
        path.write_text(
            FARM_TOML.format(
                rig=config.farm.rig,
                bus=config.bus.port,
                node=config.node.port,
                api=config.api.port,
            )
        )
    ports = {
        "bus": (config.bus.host, config.bus.port),
        "node": (config.node.host, config.node.port),
        "api": (config.api.host, config.api.port),
    }
    if config.bus.url:
        del ports["bus"]
    for section, (host, port) in ports.items():
        if not _is_free(host, port):
            raise Conflict(f"port {port} is taken; set [{section}] port in {path}")
    return config


def _free_port(host: str, preferred: int, taken: set[int]) -> int:
    port = preferred
    while port in taken or not _is_free(host, port):
        with socket.socket() as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
    taken.add(port)
    return port


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


async def wait_for_stop() -> None:
    """Until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
