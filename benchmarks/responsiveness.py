"""How long the controller's API takes to answer while the processor mines, against idle.

A real farm of every process runs for it; one client asks again and again on one connection. Rounds
of mining and of idleness alternate, so that whatever else loads the machine meets both.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil

from benchmarks.switching import DEVICE, change, running_farm
from farmctl.client import ApiClient
from farmctl.config import Config

PATHS = ("/v1/overview", "/v1/devices")
ROUNDS, QUICK_ROUNDS = 5, 1
ROUND_SECONDS = 10.0
PAUSE_SECONDS = 0.02
TIMEOUT_SECONDS = 30.0


def run(quick: bool) -> dict[str, Any]:
    taken: dict[str, list[float]] = {"mine": [], "idle": []}
    with tempfile.TemporaryDirectory() as folder, running_farm(Path(folder)) as config:
        client, before = ApiClient(config), ""
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            for workload, seconds in taken.items():
                change(client, config, before, workload)
                seconds += list(ask_for_a_while(config))
                before = workload
    return {
        "device": DEVICE,
        "processors": psutil.cpu_count(),
        "load_average_1_minute": psutil.getloadavg()[0],
        "rows": [summarise(workload, seconds) for workload, seconds in taken.items()],
    }


def ask_for_a_while(config: Config) -> list[float]:
    """Seconds that each request took."""
    headers = {"Authorization": f"Bearer {config.admin_token.read_text().strip()}"}
    found: list[float] = []
    end = time.monotonic() + ROUND_SECONDS
    with httpx.Client(base_url=config.api_url, headers=headers, timeout=TIMEOUT_SECONDS) as client:
        while time.monotonic() < end:
            path = PATHS[len(found) % len(PATHS)]
            began = time.perf_counter()
            client.get(path).raise_for_status()
            found.append(time.perf_counter() - began)
            time.sleep(PAUSE_SECONDS)
    return found


def summarise(workload: str, seconds: list[float]) -> dict[str, Any]:
    return {
        "workload": workload,
        "requests": len(seconds),
        "median_milliseconds": round(1000 * median(seconds), 1),
        "p99_milliseconds": round(1000 * quantiles(seconds, n=100)[98], 1),
        "slowest_milliseconds": round(1000 * max(seconds), 1),
    }
