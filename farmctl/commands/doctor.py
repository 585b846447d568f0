"""``farmctl doctor``: what of this machine can work, what cannot, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from drivers import selftest
from drivers.base import Device, DeviceInfo, Health, ProbeStatus, SelfTest
from drivers.errors import DriverError
from drivers.registry import Family
from drivers.survey import Survey
from farmctl.hardware import find_product, load_products
from farmctl.watch import watch_devices

COLOURS = {ProbeStatus.PASS: "green", ProbeStatus.ABSENT: "dim", ProbeStatus.BROKEN: "red"}


@dataclass(frozen=True)
class Examined:
    """A device with its health and the outcome of its known-answer tests."""

    device: Device
    health: Health
    tests: tuple[SelfTest, ...]

    @property
    def is_well(self) -> bool:
        return all(test.passed for test in self.tests)


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show every device's readings, each second, until ^C.")
    ] = False,
) -> None:
    """Look at every device family and device, and put each device to the test."""
    if watch:
        watch_devices(as_json)
        return
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), console=console, transient=True
    ) as progress:
        task = progress.add_task("looking for devices", total=None)
        families = Survey().look()
        examined = []
        for device in (d for family in families for d in family.devices):
            progress.update(task, description=f"testing {device.info.id}")
            examined.append(examine(device))
    if as_json:
        typer.echo(json.dumps(report(families, examined), indent=1))
        return
    show(Console(markup=False), families, examined)


def examine(device: Device) -> Examined:
    """Prove each capability that the device declares, in a worker."""
    info = device.info
    tests = (selftest.prove(info.family, info.id, c) for c in sorted(info.capabilities))
    return Examined(device, device.health(), tuple(tests))


def report(families: Sequence[Family], examined: Sequence[Examined]) -> dict[str, Any]:
    return {
        "families": [
            {"family": f.name, "status": f.probe.status, "reason": f.probe.reason} for f in families
        ],
        "devices": [
            {
                **asdict(e.device.info),
                "capabilities": sorted(e.device.info.capabilities),
                "details": _details(e.device.info),
                "health": asdict(e.health),
                "telemetry": _telemetry(e.device),
                "self_tests": [asdict(test) for test in e.tests],
            }
            for e in examined
        ],
    }


def show(console: Console, families: Sequence[Family], examined: Sequence[Examined]) -> None:
    table = Table(title="Device families", title_justify="left", expand=True)
    table.add_column("family", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("reason", ratio=1, overflow="fold")
    for family in families:
        status = family.probe.status
        count = len(family.devices)
        reason = family.probe.reason or f"{count} device{'' if count == 1 else 's'}"
        table.add_row(family.name, Text(status.upper(), COLOURS[status]), reason)
    console.print(table)
    for one in examined:
        console.print(device_table(one))


def device_table(examined: Examined) -> Table:
    info, health = examined.device.info, examined.health
    table = Table(title=f"{info.id}  {info.model}", title_justify="left", expand=True)
    table.add_column("capability", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("known answer", ratio=1, overflow="fold")
    table.add_column("seconds", justify="right", no_wrap=True)
    for test in examined.tests:
        verdict = Text("PASS", "green") if test.passed else Text("FAIL", "red")
        table.add_row(test.capability, verdict, test.detail, f"{test.seconds:.1f}")
    if not examined.tests:
        table.add_row("none yet", Text("–", "dim"), "found and read only", "")
    details = ", ".join(f"{name} {value}" for name, value in _details(info).items())
    table.caption = f"health {health.status}{f' ({health.reason})' if health.reason else ''}"
    table.caption += f"; {details}" if details else ""
    table.caption_justify = "left"
    return table


def _details(info: DeviceInfo) -> dict[str, str]:
    """What the device tells of itself, and its design where it is an FPGA of the catalogue."""
    product = find_product(info, load_products())
    if product is None or product.overlay is None:
        return dict(info.details)
    return {**info.details, "design": product.overlay.describe()}


def _telemetry(device: Device) -> dict[str, Any]:
    try:
        reading = device.snapshot()
    except DriverError as error:
        return {"error": str(error)}
    return {"values": dict(reading.values), "missing": dict(reading.missing)}
