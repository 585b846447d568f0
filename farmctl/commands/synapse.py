"""``farmctl node synapse``: inference for CortexTheseus nodes."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Annotated, Any

import typer

from farmctl.commands import find_group
from farmctl.config import Config, load
from farmctl.errors import ConfigError

DEFAULT_LISTEN = "127.0.0.1:4321"

Listen = Annotated[str | None, typer.Option(help="host:port to listen on.")]
Engine = Annotated[str | None, typer.Option(help="Who computes: farm, cpu, reference or auto.")]
Follow = Annotated[
    str | None,
    typer.Option(help="JSON-RPC of a node whose new models are fetched ahead: http://host:port."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="A network that may ask, such as 10.0.0.0/24; repeatable."),
]
Folder = Annotated[
    str | None,
    typer.Option(help="A CortexTheseus node's storage folder to take models and inputs from."),
]
Peer = Annotated[
    list[str] | None,
    typer.Option(
        help="Address and port of a BitTorrent peer to fetch from, such as a full node's storage; "
        "repeatable."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log each request.")]


def serve(
    listen: Listen = None,
    engine: Engine = None,
    follow: Follow = None,
    allow: Allow = None,
    folder: Folder = None,
    torrent_peer: Peer = None,
    verbose: Verbose = False,
) -> None:
    """Compute inferences for CortexTheseus nodes, over HTTP.

    Start a node with --infer.devicetype=remote://127.0.0.1:4321 and it asks here instead of
    computing by itself.

    What is left out is as farm.toml has it in its section synapse; whom models and inputs are
    fetched from says its section storage.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for name in ("asyncio", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    given = {"listen": listen, "engine": engine, "follow": follow}
    config = with_synapse(load(), allow=tuple(allow) if allow else None, **given)
    config = with_sources(config, folder, tuple(torrent_peer or ()))
    from farmctl.synapse.process import SynapseProcess  # heavy: only this command needs it

    asyncio.run(SynapseProcess(config).run())


def with_synapse(config: Config, **given: Any) -> Config:
    """The configuration with what was given on the command line. Raises `ConfigError`."""
    known = {name: value for name, value in given.items() if value is not None}
    synapse = dataclasses.replace(config.synapse, **known)
    if not synapse.listen:
        synapse = dataclasses.replace(synapse, listen=DEFAULT_LISTEN)
    try:
        synapse.check()
    except ValueError as error:
        raise ConfigError(f"[synapse] {error}") from error
    return dataclasses.replace(config, synapse=synapse)


def with_sources(config: Config, folder: str | None, peers: tuple[str, ...]) -> Config:
    """The configuration with more to fetch models from. Raises `ConfigError`."""
    storage = config.storage
    if folder is not None:
        storage = dataclasses.replace(storage, folder=folder)
    if peers:
        known = (*storage.torrent_peers, *peers)
        storage = dataclasses.replace(storage, torrent=True, torrent_peers=known)
    try:
        storage.check()
    except ValueError as error:
        raise ConfigError(f"[storage] {error}") from error
    return dataclasses.replace(config, storage=storage)


def register(app: typer.Typer) -> None:
    find_group(app, "node").command("synapse")(serve)
