"""``farmctl job``: training jobs."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from farmctl import config
from farmctl.client import ApiClient


def list_jobs() -> None:
    """List jobs, newest first."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("id", "name", "state", "progress", "device", "detail"):
        table.add_column(column, overflow="fold")
    for job in ApiClient(config.load()).get("/v1/jobs"):
        table.add_row(
            job["id"], job["name"], job["state"], _progress(job), job["device"], job["detail"]
        )
    Console().print(table)


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
    Console().print(table)


def cancel_job(job: str) -> None:
    """End a job."""
    found = ApiClient(config.load()).post(f"/v1/jobs/{job}/cancel")
    Console().print(f"job {found['id']} is {found['state']}")


def _progress(job: dict[str, Any]) -> str:
    return f"{job['steps_done']} of {job['total_steps']}"


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Training jobs.", no_args_is_help=True)
    group.command("list")(list_jobs)
    group.command("show")(show_job)
    group.command("cancel")(cancel_job)
    app.add_typer(group, name="job")
