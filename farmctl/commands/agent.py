"""``farmctl agent``: work this machine's devices as the farm's plan says."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import typer

from farmctl import config as configuration
from farmctl.errors import Conflict, StoreError


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Raises `Conflict` when another agent works from the same folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(f"another agent is running on {path.parent}; stop it first") from error
    finally:
        os.close(lock)


async def serve(config: configuration.Config) -> None:
    from farmctl.agent.hardware import DriverHardware
    from farmctl.agent.link import nats_link
    from farmctl.agent.loop import Agent

    link = nats_link(config, f"agent-{config.farm.rig}")
    link.start()
    working = asyncio.create_task(Agent(config, link, DriverHardware()).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await working
    finally:
        await link.close()


def register(app: typer.Typer) -> None:
    @app.command()
    def agent() -> None:
        """Work this machine's devices as the farm's plan says, until stopped."""
        config = configuration.load()
        logging.basicConfig(
            level=logging.INFO,
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
        )
        with only_one(config.home / "rig" / "agent.lock"):
            asyncio.run(serve(config))
