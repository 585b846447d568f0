"""The real farm, as `farmctl up` runs it: every process, the CPU, real proof of work."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from farmctl.client import ApiClient
from farmctl.config import load
from farmctl.errors import FarmError
from farmctl.store import Store, audit
from tests.farmctl.conftest import free_port

COMMAND = (sys.executable, "-m", "farmctl")
START_SECONDS = 100.0


class RunningFarm:
    """`farmctl up` in a process of its own, on ports and a home of its own."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "FARMCTL_HOME": str(home), "FARMCTL_FARM_RIG": "rig-a"}
        if not (home / "farm.toml").exists():
            for name in ("BUS", "NODE", "API"):
                self.environment[f"FARMCTL_{name}_PORT"] = str(free_port())
        self.output: list[str] = []

    def start(self) -> None:
        self.process = subprocess.Popen(
            (*COMMAND, "up"),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        until(lambda: "Ctrl-C stops" in self.text or self.process.poll() is not None, START_SECONDS)
        assert self.process.poll() is None, self.text
        config = load({"FARMCTL_HOME": self.environment["FARMCTL_HOME"]})
        self.config, self.client = config, ApiClient(config)

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.output.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        return "".join(self.output)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, self.text

    def overview(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/v1/overview")
        return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (*COMMAND, *arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def rpc(self, method: str, *parameters: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        return httpx.post(self.config.node_url, json=body, timeout=10).json()["result"]

    def pid(self, part: str) -> int:
        """Of a process of the farm, by what its command line ends in or begins with."""
        marks = {"bus": "nats-server", "runner": "farmctl.agent.runner"}
        mark = marks.get(part, f"farmctl {part}")
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if mark in " ".join(process.cmdline()):
                    return process.pid
            except psutil.NoSuchProcess:
                continue
        return 0


@contextmanager
def running(home: Path) -> Iterator[RunningFarm]:
    farm = RunningFarm(home)
    farm.start()
    try:
        yield farm
        farm.stop()
    finally:
        if farm.process.poll() is None:
            farm.process.kill()


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (FarmError, httpx.HTTPError, KeyError, ValueError):
            pass  # a part is just being started again
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.1)


def _descendants(farm: RunningFarm) -> list[psutil.Process]:
    return psutil.Process(farm.process.pid).children(recursive=True)


@pytest.mark.timeout(400)
def test_farm_starts_mines_switches_stops_and_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home) as farm:
        assert re.search(r"cpu:0 .* healthy", farm.text)
        assert re.search(r"cuda .* absent", farm.text)
        assert "login?code=" in farm.text
        assert farm.config.admin_token.read_text() not in farm.text
        done = farm.command("switch", "cpu:0", "idle", "--lock")
        assert re.search(r"confirmed by its rig after \d+\.\d\d s", done.stdout), done
        assert farm.overview()["workloads"]["idle"] == 1
        refused = farm.command("switch", "cpu:7", "idle")
        assert (refused.returncode, "there is no device" in refused.stderr) == (1, True)
        assert farm.command("switch", "cpu:0", "--unlock").returncode == 0
        twice = farm.command("up")
        assert (twice.returncode, "running already" in twice.stderr) == (1, True)
        plan, height = farm.overview()["plan_number"], farm.overview()["node"]["height"]
        left = _descendants(farm)
    assert psutil.wait_procs(left, timeout=5)[1] == []
    with running(home) as farm:
        assert farm.overview()["plan_number"] >= plan
        assert farm.overview()["node"]["height"] >= height


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_any_process_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    """Each of five processes, 20 times at random moments of mining: the farm goes on by itself;
    no block, plan or event is lost or doubled."""
    dice = random.Random(20260)
    with running(tmp_path / "home") as farm:
        hashes: dict[int, str] = {}
        for _ in range(20):
            for part in ("bus", "node", "controller", "agent", "runner"):
                time.sleep(dice.uniform(0.0, 1.5))
                until(lambda name=part: farm.pid(name))
                os.kill(farm.pid(part), signal.SIGKILL)
            _expect_progress(farm, hashes)
        with_audit = Store(farm.config.store_url)
        with with_audit.begin() as tx:
            assert audit.first_broken(tx) is None
        with_audit.close()
        _expect_no_double_share(farm)


def _expect_progress(farm: RunningFarm, hashes: dict[int, str]) -> None:
    """Mining goes on, and no block that the node had is another one now or gone."""
    before = int(farm.rpc("eth_blockNumber"), 16) if not hashes else max(hashes)
    until(lambda: int(farm.rpc("eth_blockNumber"), 16) > before, 120)
    for number, known in hashes.items():
        assert farm.rpc("eth_getBlockByNumber", hex(number), False)["hash"] == known
    height = int(farm.rpc("eth_blockNumber"), 16)
    for number in range(height + 1):
        found = farm.rpc("eth_getBlockByNumber", hex(number), False)
        assert found is not None
        hashes[number] = found["hash"]


def _expect_no_double_share(farm: RunningFarm) -> None:
    """Each accepted share is a block of ours, and each is counted at most once."""
    until(lambda: farm.overview()["workloads"]["mine"] == 1)
    height = int(farm.rpc("eth_blockNumber"), 16)
    assert farm.overview()["shares_accepted"] <= height
