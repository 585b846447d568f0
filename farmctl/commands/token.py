"""``farmctl token``: access to the API and the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from farmctl import config as configuration
from farmctl.client import ApiClient


def login() -> None:
    """Print a link that signs a browser in, once."""
    config = configuration.load()
    code = ApiClient(config).post("/v1/session/codes")
    typer.echo(f"{config.api_url}{code['path']}")


def create(
    name: str,
    scope: Annotated[list[str], typer.Option(help="read, operate, sell or admin.")] = ["read"],  # noqa: B006
    days: Annotated[float | None, typer.Option(help="Runs out after this long.")] = None,
) -> None:
    """Make a token; its secret is shown once."""
    body = {"name": name, "scopes": scope, "days": days}
    made = ApiClient(configuration.load()).post("/v1/tokens", body)
    typer.echo(made["secret"])


def list_tokens() -> None:
    """List tokens, without their secrets."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("id", "name", "scopes"):
        table.add_column(column)
    for token in ApiClient(configuration.load()).get("/v1/tokens"):
        table.add_row(token["id"], token["name"], " ".join(token["scopes"]))
    Console(markup=False).print(table)


def revoke(token: str) -> None:
    """Make a token worthless at once."""
    ApiClient(configuration.load()).delete(f"/v1/tokens/{token}")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Access to the API and the dashboard.", no_args_is_help=True)
    group.command("login")(login)
    group.command("create")(create)
    group.command("list")(list_tokens)
    group.command("revoke")(revoke)
    app.add_typer(group, name="token")
