"""``farmctl plan``: the planner's decisions and their reasons."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from farmctl import config
from farmctl.client import ApiClient
from farmctl.domain import Priority
from farmctl.errors import NotFound


def register(app: typer.Typer) -> None:
    @app.command("plan")
    def show_plan(
        number: Annotated[int | None, typer.Argument(help="The newest where left out.")] = None,
    ) -> None:
        """Show a plan: what each device is to do, and why."""
        client, console = ApiClient(config.load()), Console(markup=False)
        if number is None:
            newest = client.get("/v1/plans", limit=1)
            if not newest:
                raise NotFound("there is no plan yet; the first comes with the first device")
            plan = newest[0]
        else:
            plan = client.get(f"/v1/plans/{number}")
        table = Table(title=f"plan {plan['number']}", box=None, title_justify="left")
        for column in ("device", "workload", "priority", "job", "why"):
            table.add_column(column, overflow="fold")
        for line in plan["assignments"]:
            priority = Priority(line["priority"]).name.lower()
            table.add_row(
                line["device"], line["workload"], priority, line["job_id"] or "", line["reason"]
            )
        console.print(table)
