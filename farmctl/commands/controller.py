"""``farmctl controller``: planner, executor, API and dashboard, as `farmctl up` starts them."""

from __future__ import annotations

import asyncio
import logging

import typer

from farmctl import config

CHATTY = ("apscheduler", "alembic", "httpx", "httpcore", "asyncio", "sse_starlette")


def register(app: typer.Typer) -> None:
    @app.command("controller")
    def run_controller() -> None:
        """Run planner, API and dashboard alone, on the bus that is configured."""
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        from farmctl import controller  # heavy: only this command needs it

        asyncio.run(controller.run(config.load()))
