"""``farmctl switch``: tell a device what to do, and wait until its rig confirms it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.console import Console

from farmctl import config as configuration
from farmctl.client import ApiClient
from farmctl.config import Config
from farmctl.domain import Workload
from farmctl.errors import BadRequest, Refused, Unavailable

POLL_SECONDS = 0.1


def wait_for(client: ApiClient, switch: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The request once it is confirmed or has failed. Raises `Unavailable` when it takes
    longer."""
    deadline = time.monotonic() + seconds
    while switch["state"] == "pending":
        if time.monotonic() > deadline:
            raise Unavailable(f"not confirmed within {seconds:g} s; see `farmctl status`")
        time.sleep(POLL_SECONDS)
        switch = client.get(f"/v1/switches/{switch['id']}")
    return switch


def device_path(config: Config, device: str) -> str:
    """``rig/family:index``; without a rig the device is this machine's."""
    rig, _, name = device.rpartition("/")
    if ":" not in name:
        raise BadRequest(f"{device!r} names no device; give family:index, such as cpu:0")
    return f"/v1/devices/{rig or config.farm.rig}/{name}"


def ask(
    client: ApiClient, path: str, workload: Workload | None, lock: bool, action: str | None
) -> Any:
    if action is not None:
        if workload is not None or lock:
            raise BadRequest(f"--{action} takes neither a workload nor --lock")
        return client.post(f"{path}/{action}")
    if workload is None:
        raise BadRequest("give a workload (mine, infer, train, idle) or --unlock")
    return client.post(f"{path}/switch", {"workload": workload, "lock": lock})


def register(app: typer.Typer) -> None:
    @app.command("switch")
    def switch_device(
        device: Annotated[str, typer.Argument(help="family:index, or rig/family:index.")],
        workload: Annotated[Workload | None, typer.Argument()] = None,
        lock: Annotated[
            bool, typer.Option("--lock", help="Hold it until unlocked, even against jobs.")
        ] = False,
        unlock: Annotated[bool, typer.Option("--unlock", help="Leave it to the planner.")] = False,
        pause: Annotated[bool, typer.Option("--pause", help="Stop its work.")] = False,
        resume: Annotated[bool, typer.Option("--resume", help="End its pause.")] = False,
        clear: Annotated[
            bool, typer.Option("--clear", help="End its quarantine: it is tested again.")
        ] = False,
        timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 120.0,
    ) -> None:
        """Switch, lock, unlock, pause, resume or clear a device; prints how long it took."""
        actions = {"unlock": unlock, "pause": pause, "resume": resume, "clear": clear}
        chosen = [name for name, on in actions.items() if on]
        if len(chosen) > 1:
            raise BadRequest(f"give one of --{', --'.join(actions)}")
        config = configuration.load()
        client = ApiClient(config)
        action = chosen[0] if chosen else None
        asked = ask(client, device_path(config, device), workload, lock, action)
        report(wait_for(client, asked, timeout))


def report(switch: dict[str, Any]) -> None:
    if switch["state"] == "failed":
        raise Refused(f"{switch['device']}: {switch['action']} failed: {switch['detail']}")
    text = f"{switch['device']}: {switch['action']} {switch['workload'] or ''}".rstrip()
    seconds = switch["seconds"]
    Console(markup=False).print(
        f"{text}: confirmed by its rig after {seconds:.2f} s (plan {switch['plan_number']})",
        highlight=False,
    )
