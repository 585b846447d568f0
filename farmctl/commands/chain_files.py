"""``farmctl node export|import|checkpoint``: the chain in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from farmctl.commands import find_group
from farmctl.config import load
from farmctl.cycles import verify_cycle
from farmctl.errors import Unavailable
from farmctl.node_home import held, opened_node, opened_store
from node.blockfile import export_blocks, import_blocks, import_salvaged
from node.snapshot import export_state, import_state
from node.store.recovery import DATA
from node.store.salvage import salvage

#: A checkpoint this far below the head is on every branch that may still win.
CHECKPOINT_DEPTH = 64

File = Annotated[Path, typer.Argument(help="The file; packed if its name ends in .gz.")]
First = Annotated[int, typer.Option(help="Number of the first block.", min=0)]
Last = Annotated[int | None, typer.Option(help="Number of the last; else the head.", min=0)]
OfState = Annotated[
    bool, typer.Option("--state", help="A state to begin a chain with, instead of blocks.")
]
Trust = Annotated[str | None, typer.Option(help="Hash that the state's block must have.")]
Depth = Annotated[int, typer.Option(help="Blocks below the head.", min=0)]


def export(file: File, first: First = 0, last: Last = None, state: OfState = False) -> None:
    """Write blocks into a file, as RLP one after another. A node may run meanwhile.

    With --state: the state after block LAST (else some blocks below the head), with which
    another node can begin.
    """
    with opened_store(load()) as store, _progress("node" if state else "block") as report:
        head = store.head_header().number
        if state:
            end = max(store.oldest_state(), head - CHECKPOINT_DEPTH, 1) if last is None else last
            count = export_state(store, file, end, report)
        else:
            count = export_blocks(store, file, first, head if last is None else last, report)
    print(f"{count} {'nodes' if state else 'blocks'} are in {file}")


def import_(file: File, state: OfState = False, trust: Trust = None) -> None:
    """Take in the blocks of a file, each checked and executed. The node must be stopped.

    What is interrupted goes on where it ended when it is run again. With --state: begin a new
    home at the block of the file, which must have the hash of a checkpoint of the chain, or the
    one that you trust.
    """
    with opened_node(load()) as node:
        if state:
            with _progress("node") as report:
                begun = import_state(
                    node.store, node.chain, file, verify_cycle, _hash(trust), report
                )
            print(f"the chain begins at block {begun.number}, {begun.block_hash.hex()}")
            return
        with _progress("block") as report:
            count = import_blocks(node, file, report)
        head = node.head().number
    print(f"{count.imported} blocks taken in, {count.known} were here; the head is block {head}")


def checkpoint(depth: Depth = CHECKPOINT_DEPTH) -> None:
    """Print a checkpoint of this chain as a file in node/chains takes it."""
    with opened_store(load()) as store:
        number = max(0, store.head_header().number - depth)
        block_hash = store.canonical_hash(number)
    if block_hash is None:
        raise Unavailable(f"block {number} is not kept here; choose another --depth")
    print(f'checkpoints={{{number}: bytes.fromhex("{block_hash.hex()}")}},')


def repair() -> None:
    """Make a new database of the blocks in a damaged one, each checked and executed again.

    The old one stays beside it. What is interrupted goes on where it ended when it is run again.
    Transactions that waited and what the pool owes its miners are not brought over.
    """
    config = load()
    home = config.home / "node"
    damaged = home / "chain.damaged"
    if not damaged.exists():
        with held(home):
            if not (home / "chain" / DATA).exists():
                raise Unavailable(f"there is no chain in {home}")
            (home / "chain").rename(damaged)
    with opened_node(config) as node, _progress("block") as report:
        genesis = node.store.canonical_hash(0) or b""
        count = import_salvaged(node, salvage(damaged / DATA, genesis), report)
        head = node.head().number
    print(f"{count} blocks are in the new database, the head is block {head}; the old one is")
    print(f"{damaged}: delete it when you are content")


def _hash(text: str | None) -> bytes | None:
    try:
        found = bytes.fromhex((text or "").removeprefix("0x"))
    except ValueError:
        found = b"?"
    if text is not None and len(found) != 32:
        raise typer.BadParameter("a block's hash is 64 hexadecimal digits", param_hint="--trust")
    return found or None


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """Shows the number that it is told, on a terminal; a file gets nothing."""
    columns = (TextColumn("{task.description} {task.completed:.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda number: progress.update(task, completed=number)


def register(app: typer.Typer) -> None:
    group = find_group(app, "node")
    group.command("export")(export)
    group.command("import")(import_)
    group.command("checkpoint")(checkpoint)
    group.command("repair")(repair)
