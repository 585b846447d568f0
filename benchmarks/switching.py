"""Seconds from asking for another workload until the rig has confirmed it.

A real farm of every process runs for it in a folder of its own; each switch takes the road of a
click in the dashboard: API, planner, bus, agent, runner, device session, and back.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from farmctl.client import ApiClient
from farmctl.commands.switch import device_path, wait_for
from farmctl.config import Config, load
from farmctl.errors import FarmError

DEVICE = "cpu:0"
PAUSE = "pause"
ROUND = ("mine", "idle", "mine", "infer", "idle", "infer", "mine", PAUSE, "mine")
QUICK_ROUNDS, FULL_ROUNDS = 2, 20
START_SECONDS = 150.0
STOP_SECONDS = 60.0
CONFIRM_SECONDS = 120.0
#: Work is under way before it is taken from the device again.
DWELL_SECONDS = 1.0


def run(quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, running_farm(Path(folder)) as config:
        client = ApiClient(config)
        change(client, config, "", ROUND[0])
        taken: dict[tuple[str, str], list[float]] = defaultdict(list)
        for _ in range(QUICK_ROUNDS if quick else FULL_ROUNDS):
            for before, after in pairwise(ROUND):
                time.sleep(DWELL_SECONDS)
                taken[before, after].append(change(client, config, before, after))
    return {"device": DEVICE, "rows": [summarise(*pair, found) for pair, found in taken.items()]}


def change(client: ApiClient, config: Config, before: str, after: str) -> float:
    """Have the device do something else; seconds until its rig's confirmation is in the store."""
    done = wait_for(
        client, ask(client, device_path(config, DEVICE), before, after), CONFIRM_SECONDS
    )
    if done["state"] != "confirmed":
        raise RuntimeError(f"{after} was not confirmed: {done['detail']}")
    return float(done["seconds"])


def ask(client: ApiClient, path: str, before: str, after: str) -> dict[str, Any]:
    if PAUSE in (before, after):
        asked = client.post(f"{path}/{'pause' if after == PAUSE else 'resume'}")
    else:
        asked = client.post(f"{path}/switch", {"workload": after, "lock": True})
    return dict(asked)


def summarise(before: str, after: str, seconds: list[float]) -> dict[str, Any]:
    return {
        "switch": f"{before} → {after}",
        "count": len(seconds),
        "p50_seconds": statistics.median(seconds),
        "p95_seconds": statistics.quantiles(seconds, n=20, method="inclusive")[-1],
        "most_seconds": max(seconds),
    }


@contextmanager
def running_farm(home: Path) -> Iterator[Config]:
    """`farmctl up` on free ports, as a user would start it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FARMCTL_")}
    process = subprocess.Popen(
        (sys.executable, "-m", "farmctl", "up"),
        env={**kept, "FARMCTL_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )
    try:
        config = await_farm(process, home)
        yield config
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def await_farm(process: subprocess.Popen[bytes], home: Path) -> Config:
    """Until the device works."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.5)
        if (home / "secrets" / "api.token").exists() and (home / "farm.toml").exists():
            config = load({"FARMCTL_HOME": str(home)})
            if is_working(config):
                return config
    raise RuntimeError("the farm did not start; `farmctl up` says why")


def is_working(config: Config) -> bool:
    try:
        device = ApiClient(config).get(device_path(config, DEVICE))
    except FarmError:
        return False
    return bool(device["workload"] == "mine")
