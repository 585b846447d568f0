"""``farmctl job``: training jobs."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from farmctl import config
from farmctl.client import ApiClient
from farmctl.errors import BadRequest
from farmctl.tables import money


def list_jobs() -> None:
    """List jobs, newest first."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("id", "name", "state", "progress", "device", "detail"):
        table.add_column(column, overflow="fold")
    for job in ApiClient(config.load()).get("/v1/jobs"):
        table.add_row(
            job["id"], job["name"], job["state"], _progress(job), job["device"], job["detail"]
        )
    Console(markup=False).print(table)


def show_job(job: str) -> None:
    """Show one job."""
    found = ApiClient(config.load()).get(f"/v1/jobs/{job}")
    table = Table(show_header=False, box=None, pad_edge=False)
    for name in ("id", "name", "customer", "kind", "state", "device", "preemptions", "detail"):
        table.add_row(name, str(found[name] if found[name] is not None else ""))
    table.add_row("progress", _progress(found))
    table.add_row("device seconds", f"{found['device_seconds']:.1f}")
    if found["losses"]:
        table.add_row("loss", f"{found['losses'][-1][1]:.4f}")
    for name, value in found["results"].items():
        table.add_row(name, value)
    Console(markup=False).print(table)


def submit_job(
    kind: Annotated[str, typer.Argument(help="A built-in trainer, such as digits-cnn.")],
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    customer: Annotated[str, typer.Option(help="Who pays.")] = "demo",
    parameter: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE.")] = None,
    contract: Annotated[
        bool, typer.Option("--contract", help="May not be interrupted; costs more.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Order without asking.")] = False,
) -> None:
    """Get a quote, and order the job at its price."""
    loaded = config.load()
    client = ApiClient(loaded)
    body = {"kind": kind, "parameters": _parameters(parameter or [])}
    quote = client.post("/v1/quotes", body | {"interruptible": not contract})
    Console(markup=False).print(quote_line(quote, loaded.farm.currency), highlight=False)
    if not yes:
        typer.confirm("Order it?", abort=True)
    order = {"quote": quote["id"], "name": name or kind, "customer": customer}
    job = client.post("/v1/jobs", order)
    Console(markup=False).print(
        f"job {job['id']} is {job['state']}; `farmctl job show {job['id']}` follows it"
    )


def quote_line(quote: dict[str, Any], currency: str) -> str:
    price = money(quote["price_micro_per_hour"], currency)
    floor = money(quote["floor_micro_per_hour"], currency)
    total = money(quote["estimated_total_micro"], currency)
    seconds = quote["estimated_device_seconds"]
    return f"{price} per device-hour (mining: {floor}); about {seconds:.0f} s, {total} in all"


def _parameters(given: list[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    wrong = [name for name, sign, _ in pairs if not sign or not name]
    if wrong:
        raise BadRequest(f"--set takes NAME=VALUE, not {wrong[0]!r}")
    return {name: value for name, _, value in pairs}


def cancel_job(job: str) -> None:
    """End a job."""
    found = ApiClient(config.load()).post(f"/v1/jobs/{job}/cancel")
    Console(markup=False).print(f"job {found['id']} is {found['state']}")


def _progress(job: dict[str, Any]) -> str:
    return f"{job['steps_done']} of {job['total_steps']}"


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Training jobs.", no_args_is_help=True)
    group.command("list")(list_jobs)
    group.command("show")(show_job)
    group.command("submit")(submit_job)
    group.command("cancel")(cancel_job)
    app.add_typer(group, name="job")
