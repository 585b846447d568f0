"""One file a command or group of commands; several files may add to one group."""

from __future__ import annotations

import typer

GROUPS = {
    "model": "Integer models: convert, inspect, run, verify, compare, rank.",
    "node": "The embedded full node.",
}


def find_group(app: typer.Typer, name: str) -> typer.Typer:
    """One of ``GROUPS``, made where no file before has made it."""
    for known in app.registered_groups:
        if known.name == name and known.typer_instance is not None:
            return known.typer_instance
    group = typer.Typer(help=GROUPS[name], no_args_is_help=True)
    app.add_typer(group, name=name)
    return group
