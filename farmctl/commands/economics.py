"""``farmctl node economics``: how many coins there will be, and what this node has earned."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from farmctl.commands import find_group
from farmctl.commands.node import ask
from farmctl.config import load
from farmctl.errors import ConfigError, Unavailable
from node.chains import find_chain
from node.issuance import COIN, Year, block_seconds, is_stated, list_years
from node.spec.chain import Chain

YEARS = 24
ABSENT = "—"


def economics(
    chain: Annotated[str, typer.Option(help="A network; else the one configured.")] = "",
    years: Annotated[int, typer.Option(min=1, max=400, help="Years from genesis.")] = YEARS,
    as_json: Annotated[bool, typer.Option("--json", help="For programs; amounts in wei.")] = False,
) -> None:
    """Show issuance by year, as implemented and as the whitepaper states, and the coins now."""
    config = load()
    network = _find(chain or config.node.chain)
    listed = list(list_years(network, years))
    live = _ask_node(config.node_url) if network.name == config.node.chain else None
    if as_json:
        typer.echo(json.dumps(_document(network, listed, live), indent=1))
        return
    console = Console(markup=False)
    console.print(_table(network, listed))
    for line in _notes(network):
        console.print(line)
    console.print(_live(live) if live else "no node answers: `farmctl up` starts one")


def _find(name: str) -> Chain:
    try:
        return find_chain(name)
    except KeyError as error:
        raise ConfigError(f"--chain: {error.args[0]}") from error


def _ask_node(url: str) -> dict[str, Any] | None:
    try:
        (found,) = ask(url, ("ctxc_economics",))
    except Unavailable:
        return None
    return dict(found)


def _document(chain: Chain, years: list[Year], live: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "chain": chain.name,
        "block_seconds": float(block_seconds(chain)),
        "reward_halving_blocks": chain.reward_halving_blocks,
        "initial_supply_wei": str(chain.initial_supply_wei),
        "supply_cap_wei": str(chain.supply_cap_wei),
        "years": [_plain(year) for year in years],
        "node": live,
    }


def _plain(year: Year) -> dict[str, Any]:
    """Wei as decimal text: a JSON number would lose its last digits."""
    return {
        name: str(value) if name.endswith("_wei") and value is not None else value
        for name, value in asdict(year).items()
    }


_COLUMNS: tuple[tuple[str, Callable[[Year], str]], ...] = (
    ("year", lambda y: str(y.number)),
    ("to block", lambda y: f"{y.last_block:,}"),
    ("reward", lambda y: f"{y.reward_wei / COIN:g}"),
    ("mined", lambda y: _coins(y.mined_wei)),
    ("coins", lambda y: _coins(y.supply_wei)),
    ("mined, most uncles", lambda y: _coins(y.most_wei)),
    ("coins, most uncles", lambda y: _coins(y.most_supply_wei)),
)
_STATED: tuple[tuple[str, Callable[[Year], str]], ...] = (
    ("whitepaper: mined", lambda y: _coins(y.stated_mined_wei)),
    ("whitepaper: coins", lambda y: _coins(y.stated_supply_wei)),
)


def _table(chain: Chain, years: list[Year]) -> Table:
    columns = _COLUMNS + (_STATED if is_stated(chain) else ())
    headers = (Column(name, justify="right") for name, _ in columns)
    table = Table(*headers, box=None, title=f"{chain.name}: coins by year")
    for year in years:
        table.add_row(*(show(year) for _, show in columns))
    return table


def _notes(chain: Chain) -> list[str]:
    lines = [
        f"A year: blocks of {float(block_seconds(chain)):g} s; the reward halves each "
        f"{chain.reward_halving_blocks:,} blocks; at most {_coins(chain.supply_cap_wei)} coins.",
        "What comes lies between no uncles, and two of the highest reward in each block.",
    ]
    lines += [
        f"Block {number:,} besides gives {_coins(wei)} coins to 0x{account.hex()}, "
        "which the supply does not count."
        for number, (account, wei) in sorted(chain.mints.items())
    ]
    return lines


def _live(found: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, title="This node")
    earned, share = int(found["earned"], 16), f"{found['found']} of the last {found['blocks']}"
    seconds = found["blockSeconds"]
    for name, value in (
        ("height", f"{int(found['number'], 16):,}"),
        ("coins now", _exact(found["supply"])),
        ("left to be mined", _exact(found["left"])),
        ("reward now", f"{_exact(found['reward'])} a block"),
        ("next halving", f"block {int(found['halving'], 16):,}"),
        ("time of a block", ABSENT if seconds is None else f"{seconds:.1f} s"),
        ("blocks found here", share),
        ("rewards earned in these", f"{earned / COIN:,.4f}, fees not counted"),
        ("balance of the coinbase", _exact(found["balance"])),
        ("gas price suggested", f"{int(found['gasPrice'], 16):,} wei"),
    ):
        table.add_row(name, value)
    return table


def _exact(wei: str) -> str:
    return f"{int(wei, 16) / COIN:,.4f}"


def _coins(wei: int | None) -> str:
    return ABSENT if wei is None else f"{wei / COIN:,.0f}"


def register(app: typer.Typer) -> None:
    find_group(app, "node").command("economics")(economics)
