"""``farmctl controller``: planner, executor, API and dashboard, as `farmctl up` starts them."""

from __future__ import annotations

import typer

from farmctl import config, controller
from farmctl.processes import start_logging


def register(app: typer.Typer) -> None:
    @app.command("controller", rich_help_panel="Processes")
    def run_controller(verbose: bool = False) -> None:
        """Run the controller alone; it joins the bus that is configured."""
        start_logging(verbose)
        controller.main(config.load())
