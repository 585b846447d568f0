"""What the steps of the tour share: clients, the terminal, waiting, and the figures found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from farmctl.client import ApiClient
from farmctl.config import Config
from farmctl.errors import Unavailable
from farmctl.tour.chain import ChainClient

POLL_SECONDS = 0.1
#: How long a device may take to do what was asked of it.
SWITCH_SECONDS = 120.0
T = TypeVar("T")


@dataclass
class Guide:
    """Leads through one tour."""

    config: Config
    client: ApiClient
    chain: ChainClient
    console: Console
    device: str = "cpu:0"
    """On this machine."""
    figures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def device_key(self) -> str:
        return f"{self.config.farm.rig}/{self.device}"

    @property
    def device_path(self) -> str:
        return f"/v1/devices/{self.device_key}"

    def look(self) -> dict[str, Any]:
        """The device as it is now."""
        found: dict[str, Any] = self.client.get(self.device_path)
        return found

    def head(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/]", highlight=False)

    def say(self, text: str) -> None:
        self.console.print(f"   {text}", highlight=False, soft_wrap=True)

    def note(self, name: str, figure: str) -> None:
        """Print a figure and keep it for the table at the end."""
        self.figures.append((name, figure))
        self.say(f"{name}: [bold]{escape(figure)}[/]")

    def money(self, micro: int) -> str:
        return f"{micro / 1e6:.6f} {self.config.farm.currency}"

    def wait(
        self,
        what: str,
        look: Callable[[], T | None],
        seconds: float,
        progress: Callable[[], tuple[float, float]] | None = None,
    ) -> T:
        """What ``look`` finds at last, shown as progress (done, of how much) meanwhile.
        Raises `Unavailable` when it takes longer."""
        deadline = time.monotonic() + seconds
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(30))
        with Progress(
            *columns,
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ) as bar:
            task = bar.add_task(f"  {what}", total=None)
            while True:
                found = look()
                if found is not None:
                    return found
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"{what}: not within {seconds:g} s; see `farmctl status` and the logs in "
                        f"{self.config.home / 'logs'}"
                    )
                if progress is not None:
                    done, total = progress()
                    bar.update(task, completed=done, total=total)
                time.sleep(POLL_SECONDS)

    def switch(self, action: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask for a change of the device and wait until its rig has confirmed it."""
        asked = self.client.post(f"{self.device_path}/{action}", body)

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.client.get(f"/v1/switches/{asked['id']}")
            return None if found["state"] == "pending" else found

        switched = self.wait(f"{self.device}: {action}", look, SWITCH_SECONDS)
        if switched["state"] == "failed":
            raise Unavailable(f"{self.device}: {action} failed: {switched['detail']}")
        return switched

    def show_figures(self) -> None:
        table = Table(box=None, header_style="bold", pad_edge=False, show_header=False)
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, figure in self.figures:
            table.add_row(name, escape(figure))
        self.console.print(table)
