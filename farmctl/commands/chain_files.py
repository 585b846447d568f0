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
from farmctl.node_home import opened_node, opened_store
from node.blockfile import export_blocks, import_blocks

File = Annotated[Path, typer.Argument(help="File of blocks; packed if its name ends in .gz.")]
First = Annotated[int, typer.Option(help="Number of the first block.", min=0)]
Last = Annotated[int | None, typer.Option(help="Number of the last; else the head.", min=0)]


def export(file: File, first: First = 0, last: Last = None) -> None:
    """Write blocks into a file, as RLP one after another. A node may run meanwhile."""
    with opened_store(load()) as store, _progress("block") as report:
        end = store.head_header().number if last is None else last
        count = export_blocks(store, file, first, end, report)
    print(f"{count} blocks are in {file}")


def import_(file: File) -> None:
    """Take in the blocks of a file, each checked and executed. The node must be stopped.

    What is interrupted goes on where it ended when it is run again.
    """
    with opened_node(load()) as node, _progress("block") as report:
        count = import_blocks(node, file, report)
        head = node.head().number
    print(f"{count.imported} blocks taken in, {count.known} were here; the head is block {head}")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """Shows the number that it is told, on a terminal; a file gets nothing."""
    columns = (TextColumn("{task.description} {task.completed:.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda number: progress.update(task, completed=number)


def register(app: typer.Typer) -> None:
    group = find_group(app, "node", "The embedded full node.")
    group.command("export")(export)
    group.command("import")(import_)
