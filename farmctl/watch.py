"""``farmctl doctor --watch``: this machine's devices as they are this second, without the farm."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from drivers.base import Device, HealthStatus, ProbeStatus
from drivers.registry import Family
from drivers.survey import Survey
from farmctl.agent.sampler import Sampler

SECONDS = 1.0
#: Families are looked at again, for devices that came or went.
SURVEY_SECONDS = 15.0
ABSENT = Text("–", "dim")
COLOURS = {
    HealthStatus.OK: "green",
    HealthStatus.DEGRADED: "yellow",
    HealthStatus.NEEDS_RESET: "red",
    HealthStatus.LOST: "red",
}
#: Columns: title, field, how it is written.
COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("use", "utilisation_ratio", lambda v: f"{v:.0%}"),
    ("°C", "temperature_celsius", lambda v: f"{v:.0f}"),
    ("W", "power_watts", lambda v: f"{v:.0f}"),
    ("fan", "fan_ratio", lambda v: f"{v:.0%}"),
    ("MHz", "clock_hertz", lambda v: f"{v / 1e6:.0f}"),
    ("GiB", "memory_used_bytes", lambda v: f"{v / 2**30:.1f}"),
)


class Watched:
    """Every device with a sampler of its own, so that one that hangs stops no other."""

    def __init__(self) -> None:
        self._survey = Survey()
        self._samplers: dict[str, tuple[Device, Sampler]] = {}
        self.families: Sequence[Family] = ()

    def look(self) -> None:
        """Take in devices that came, and let those go that are gone."""
        self.families = self._survey.look()
        there = {d.info.id: d for family in self.families for d in family.devices}
        for device_id, (device, sampler) in list(self._samplers.items()):
            found = there.get(device_id)
            if found is None or found.info.hardware_id != device.info.hardware_id:
                del self._samplers[device_id]
                sampler.stop()
        for device_id, device in there.items():
            if device_id not in self._samplers:
                self._samplers[device_id] = device, Sampler(device, SECONDS)
                self._samplers[device_id][1].start()

    def lines(self) -> list[dict[str, Any]]:
        """What is known of each device now."""
        return [_line(device, sampler) for device, sampler in self._samplers.values()]

    def stop(self) -> None:
        for _, sampler in self._samplers.values():
            sampler.stop()


def watch_devices(as_json: bool) -> None:
    """Until Ctrl-C; as JSON one line a second, or a table that renews itself."""
    watched = Watched()
    with contextlib.suppress(KeyboardInterrupt):
        if as_json:
            _run(watched, lambda: print(json.dumps(watched.lines()), flush=True))
        else:
            console = Console()
            console.print("looking for devices …", style="dim")
            with Live(console=console, auto_refresh=False) as live:
                _run(watched, lambda: live.update(draw(watched), refresh=True))
    watched.stop()


def _run(watched: Watched, show: Callable[[], None]) -> None:
    surveyed = -SURVEY_SECONDS
    while True:
        if time.monotonic() - surveyed >= SURVEY_SECONDS:
            watched.look()
            surveyed = time.monotonic()
            time.sleep(SECONDS / 4)  # the first readings come in
        show()
        time.sleep(SECONDS)


def _line(device: Device, sampler: Sampler) -> dict[str, Any]:
    telemetry, health = sampler.newest(), sampler.health()
    return {
        "device": device.info.id,
        "model": device.info.model,
        "health": health.status.value,
        "codes": list(health.codes),
        "reason": health.reason,
        "time": telemetry.time if telemetry else None,
        "values": dict(telemetry.values) if telemetry else {},
        "missing": dict(telemetry.missing) if telemetry else {},
    }


def draw(watched: Watched) -> Group:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("device", no_wrap=True)
    table.add_column("health", overflow="fold")
    for title, _, _ in COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    lines = watched.lines()
    for line in lines:
        table.add_row(line["device"], _health(line), *_cells(line["values"]))
    if not lines:
        table.add_row("none", Text("no device was found", "dim"))
    absent = [f for f in watched.families if f.probe.status is not ProbeStatus.PASS]
    notes = [Text(f"{f.name}: {f.probe.status.value}, {f.probe.reason}", "dim") for f in absent]
    return Group(table, *notes, Text("Ctrl-C ends this", "dim"))


def _health(line: Mapping[str, Any]) -> Text:
    text = line["health"] + (f": {line['reason']}" if line["reason"] else "")
    return Text(text, COLOURS[HealthStatus(line["health"])])


def _cells(values: Mapping[str, float]) -> list[Text]:
    return [Text(write(values[f])) if f in values else ABSENT for _, f, write in COLUMNS]
