"""The command line. Each file in ``farmctl/commands`` adds its own commands.

A command file has ``def register(app: typer.Typer) -> None``; nothing else is edited.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import typer
from rich.console import Console
from rich.markup import escape

from farmctl import commands
from farmctl.errors import FarmError


def build_app() -> typer.Typer:
    app = typer.Typer(
        help="Run a mining farm: mining, consensus inference and sold training.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda m: m.name):
        importlib.import_module(f"farmctl.commands.{module.name}").register(app)
    return app


def main() -> None:
    """Entry point: errors of ours are one line and exit status 1, never a traceback."""
    try:
        build_app()()
    except FarmError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)
