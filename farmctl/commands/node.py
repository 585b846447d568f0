"""``farmctl node``: run the embedded node, see how it does."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.table import Column, Table

from farmctl.commands import find_group
from farmctl.config import Config, load, own_address
from farmctl.errors import Unavailable
from node.issuance import COIN
from node.synapse.settings import split_endpoint

TIMEOUT_SECONDS = 5.0
SHOWN_BLOCKS = 20
NUMBERS = ("height", "points")


def run() -> None:
    """Run the embedded node; `farmctl up` does so for you."""
    from farmctl.light_process import LightProcess
    from farmctl.node_process import NodeProcess

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config = load()
    process = LightProcess if config.node.mode == "light" else NodeProcess
    asyncio.run(process(config).run())


def status() -> None:
    """Show height, difficulty, coinbase and what waits; of a light node, its feeds."""
    config = load()
    url = config.node_url
    if config.node.mode == "light":
        _show_light(config)
        return
    block, coinbase = ask(url, ("eth_getBlockByNumber", "latest", False), ("eth_coinbase",))
    balance, pending, mining = ask(
        url, ("eth_getBalance", coinbase), ("txpool_status",), ("eth_mining",)
    )
    table = Table(show_header=False, box=None)
    table.add_row("height", str(int(block["number"], 16)))
    table.add_row("head", block["hash"])
    table.add_row("difficulty", str(int(block["difficulty"], 16)))
    table.add_row("pending", str(int(pending["pending"], 16)))
    table.add_row("coinbase", coinbase)
    table.add_row("balance", f"{int(balance, 16) / COIN:.4f} coins")
    table.add_row("work", "offered to miners" if mining else "none yet")
    _add_synapse(table, config)
    Console(markup=False).print(table)


def _add_synapse(table: Table, config: Config) -> None:
    """A line on the remote inference, where it is configured."""
    if config.synapse.listen:
        table.add_row("synapse", describe_synapse(config.synapse.listen))


def describe_synapse(listen: str) -> str:
    """How the remote-inference service there does, in a line."""
    host, port = split_endpoint(listen)
    url = f"http://{own_address(host)}:{port}/healthz"
    try:
        found = httpx.get(url, timeout=TIMEOUT_SECONDS, trust_env=False).json()
        requests = {name: count for name, count in found["requests"].items() if count}
        told = ", ".join(f"{count} {name}" for name, count in requests.items()) or "none yet"
        return f"{listen}, computed by {found['engine']}; requests: {told}"
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return f"{listen}: no answer"


def _show_light(config: Config) -> None:
    header, feeds = ask(config.node_url, ("eth_getHeaderByNumber", "latest"), ("peers_status",))
    table = Table(show_header=False, box=None)
    table.add_row("mode", "light")
    table.add_row("height", str(int(header["number"], 16)))
    table.add_row("head", header["hash"])
    table.add_row("difficulty", str(int(header["difficulty"], 16)))
    table.add_row("feeds", feeds["comparison"])
    _add_synapse(table, config)
    Console(markup=False).print(table)


def balances() -> None:
    """Show what the pool owes each miner, and the blocks that miners found."""
    url = load().node_url
    owed, found = ask(url, ("stratum_balances",), ("stratum_blocks",))
    miners = Table("account", *(Column(n, justify="right") for n in ("due", "paid")), box=None)
    for row in owed:
        miners.add_row(row["address"], _coins(row["due"]), _coins(row["paid"]))
    blocks = Table("block", "finder", "state", Column("coins", justify="right"), box=None)
    for row in found[:SHOWN_BLOCKS]:
        number = str(int(row["number"], 16))
        blocks.add_row(number, row["finder"], row["state"], _coins(row["income"]))
    console = Console(markup=False)
    console.print(miners if owed else "no miner has a balance yet")
    console.print(blocks if found else "no miner has found a block yet")


def peers() -> None:
    """Show the nodes from which blocks are taken, and what is held against them."""
    config = load()
    (board,) = ask(config.node_url, ("peers_status",))
    table = Table("peer", "kind", "state", *(Column(n, justify="right") for n in NUMBERS), "reason")
    table.box = None
    for peer in board["peers"]:
        number = "—" if peer["number"] is None else str(int(peer["number"], 16))
        name = peer["name"] + (" (came in)" if peer["inbound"] else "")
        score = f"{peer['points']:.0f}"
        table.add_row(name, peer["kind"], peer["state"], number, score, peer["reason"])
    console = Console(markup=False)
    console.print(table if board["peers"] else "no peers; name some in [[peers]] of farm.toml")
    console.print(f"feeds: {board['comparison']}")
    console.print(f"this node: {board['listening'] or 'not listening'}#{board['fingerprint']}")


def _coins(wei: str) -> str:
    return f"{Decimal(int(wei, 16)) / COIN:f}"


def ask(url: str, *calls: tuple[Any, ...]) -> list[Any]:
    """The results of a batch; raises `Unavailable` where the node does not answer."""
    batch = [
        {"jsonrpc": "2.0", "id": i, "method": name, "params": params}
        for i, (name, *params) in enumerate(calls)
    ]
    try:
        replies = httpx.post(url, json=batch, timeout=TIMEOUT_SECONDS, trust_env=False).json()
        return [reply["result"] for reply in replies]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"no node answers at {url}; `farmctl up` starts one") from error


def register(app: typer.Typer) -> None:
    group = find_group(app, "node")
    group.command("run")(run)
    group.command("status")(status)
    group.command("balances")(balances)
    group.command("peers")(peers)
