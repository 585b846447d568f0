"""``farmctl status``: rigs, devices and the node at a glance."""

from __future__ import annotations

import typer
from rich.console import Console

from farmctl import config, tables
from farmctl.client import ApiClient


def register(app: typer.Typer) -> None:
    @app.command("status")
    def show_status() -> None:
        """Show what every device does, and why."""
        client, console = ApiClient(config.load()), Console()
        overview, rigs = client.get("/v1/overview"), client.get("/v1/rigs")
        console.print(tables.device_table(client.get("/v1/devices"), rigs))
        for rig in rigs:
            if rig["state"] != "healthy":
                console.print(f"rig {rig['name']}: {rig['state']}, {rig['reason']}", markup=False)
        console.print(tables.node_line(overview["node"]), highlight=False)
        earned = overview["money"]
        net = tables.money(earned["net_micro_per_hour"], earned["currency"])
        console.print(f"plan {overview['plan_number']}; net {net} per hour", highlight=False)
