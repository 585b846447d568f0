"""What the command line shows of a farm, from the API's bodies."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

WEI_PER_COIN = 10**18
ABSENT = "—"


def device_table(devices: list[dict[str, Any]], rigs: list[dict[str, Any]]) -> Table:
    """A line a device, and one a family that is not here, with its reason."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("device", "model", "state", "does", "rate", "why"):
        table.add_column(column, overflow="fold")
    for device in devices:
        name = f"{device['rig']}/{device['id']}" if len(rigs) > 1 else device["id"]
        state = device["state"]
        if state != "healthy":
            state += f": {device['reason']}"
        cells = (name, device["model"], state, device["workload"], rate(device), device["why"])
        table.add_row(*map(Text, cells))
    for rig in rigs:
        for family in rig["families"]:
            if family["status"] != "pass":
                name, reason = Text(family["family"], "dim"), Text(family["reason"])
                table.add_row(name, "", family["status"], "", "", reason)
    return table


def rate(device: dict[str, Any]) -> str:
    """The rate of what the device does now."""
    fields = {
        "mine": ("graphs_per_second", "graphs/s"),
        "infer": ("infers_per_second", "INFER/s"),
        "train": ("steps_per_second", "steps/s"),
    }
    if device["workload"] not in fields:
        return ABSENT
    name, unit = fields[device["workload"]]
    value = device["readings"].get(name)
    return ABSENT if value is None else f"{value:.1f} {unit}"


def node_line(node: dict[str, Any] | None) -> str:
    if node is None or not node["running"]:
        return "node: does not answer"
    if node["mode"] == "light":
        return f"node: {node['chain']}, light, at height {node['height']}"
    coins = int(node["balance_wei"]) / WEI_PER_COIN
    waits = f", waits: {node['blocked']}" if node["blocked"] else ""
    return f"node: {node['chain']} at height {node['height']}, {coins:.1f} coins earned{waits}"


def money(micro: int, currency: str) -> str:
    return f"{micro / 1e6:,.4f} {currency}"
