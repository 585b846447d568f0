"""``farmctl up``: the whole farm on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import time

import typer
from rich.console import Console

from farmctl import config as configuration
from farmctl import tables
from farmctl.client import ApiClient
from farmctl.config import Config
from farmctl.errors import FarmError
from farmctl.supervisor import Supervisor, only_one, settle_ports, wait_for_stop

#: How long the summary waits for devices to have proved themselves and for a first block.
SETTLE_SECONDS = 60.0
POLL_SECONDS = 0.5


async def run_farm(config: Config, verbose: bool, console: Console) -> None:
    """Start, show, and keep the farm until it is asked to stop."""
    supervisor = Supervisor(config, verbose, lambda line: console.print(f"[dim]{line}[/]"))
    stopping = asyncio.create_task(wait_for_stop())
    running = asyncio.create_task(_start_and_show(supervisor, console))
    try:
        await asyncio.wait({stopping, running}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        await stopping
        console.print("stopping …")
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, FarmError):
            await running
        await supervisor.stop()


async def _start_and_show(supervisor: Supervisor, console: Console) -> None:
    await supervisor.start()
    client = ApiClient(supervisor.config)
    await _wait_until_settled(client)
    show_summary(supervisor.config, client, console)


async def _wait_until_settled(client: ApiClient) -> None:
    """Until a device works and the node has a block of ours, but not for ever."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(FarmError):
            overview = await asyncio.to_thread(client.get, "/v1/overview")
            busy = overview["devices_total"] > overview["workloads"]["idle"]
            if busy and overview["node"] and overview["node"]["height"] > 0:
                return
        await asyncio.sleep(POLL_SECONDS)


def show_summary(config: Config, client: ApiClient, console: Console) -> None:
    code = client.post("/v1/session/codes")
    overview = client.get("/v1/overview")
    console.print()
    console.print(tables.device_table(client.get("/v1/devices"), client.get("/v1/rigs")))
    console.print()
    console.print(tables.node_line(overview["node"]), highlight=False)
    console.print(f"JSON-RPC: {config.node_url}", highlight=False)
    console.print(f"dashboard: [bold]{config.api_url}[/]", highlight=False)
    console.print(
        f"sign in once by: {config.api_url}{code['path']}", highlight=False, soft_wrap=True
    )
    console.print("Ctrl-C stops the farm.")


def register(app: typer.Typer) -> None:
    @app.command("up")
    def start_farm(
        verbose: bool = typer.Option(False, "--verbose", "-v", help="Show every process's log."),
    ) -> None:
        """Run the whole farm on this machine until Ctrl-C."""
        config = configuration.load()
        with only_one(config.home):
            asyncio.run(run_farm(settle_ports(config), verbose, Console()))
