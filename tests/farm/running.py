"""`farmctl up` as a process of its own, watched from outside: by its API, its RPC, its PIDs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from farmctl.client import ApiClient
from farmctl.config import Config, load
from farmctl.errors import FarmError
from tests.support.ports import free_port

COMMAND = (sys.executable, "-m", "farmctl")
ROOT = Path(__file__).parents[2]
FAMILIES = Path(__file__).parent / "families"
START_SECONDS = 150.0
STOP_SECONDS = 90.0
#: What each process of the farm has in its command line.
MARKS = {
    "bus": "nats-server",
    "node": "farmctl node run",
    "controller": "farmctl controller",
    "agent": "farmctl agent",
    "runner": "farmctl.agent.runner",
    "job": "farmctl.training.run",
    "synapse": "farmctl node synapse",
}


class RunningFarm:
    """`farmctl up` on ports and a home of its own; ``twin`` adds a device that only trains,
    ``variables`` are added to the environment."""

    def __init__(self, home: Path, twin: bool = False, **variables: str) -> None:
        self.home = home
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FARMCTL_")}
        python_path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH", ""))))
        self.environment = {
            **kept,
            "PYTHONPATH": python_path,
            "FARMCTL_HOME": str(home),
            "FARMCTL_FARM_RIG": "rig-a",
            **variables,
        }
        if twin:
            self.environment["FARMCTL_DRIVERS"] = str(FAMILIES)
        if not (home / "farm.toml").exists():
            for name in ("BUS", "NODE", "API"):
                self.environment[f"FARMCTL_{name}_PORT"] = str(free_port())
        self.output: list[str] = []
        self.crashed = False

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
        self.config: Config = load({"FARMCTL_HOME": str(self.home)})
        self.client = ApiClient(self.config)

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.output.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        return "".join(self.output)

    def crash(self) -> None:
        """Kill the supervisor itself."""
        self.crashed = True
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(STOP_SECONDS) == 0, self.text

    def overview(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/v1/overview")
        return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (*COMMAND, *arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def rpc(self, method: str, *parameters: Any) -> Any:
        answer = self.ask_node(method, *parameters)
        if "error" in answer:
            raise ValueError(f"{method}: {answer['error']}")
        return answer["result"]

    def ask_node(self, method: str, *parameters: Any) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        found: dict[str, Any] = httpx.post(self.config.node_url, json=body, timeout=10).json()
        return found

    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def pids(self, part: str) -> list[int]:
        """Of the farm's processes of one kind, the lowest first."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if MARKS[part] in " ".join(process.cmdline()):
                    found.append(process.pid)
            except psutil.NoSuchProcess:
                continue
        return sorted(found)

    def logs(self) -> str:
        """The end of each process's log, for a failure's report."""
        pieces = []
        for path in sorted((self.home / "logs").glob("*.log")):
            with path.open(errors="replace") as file:
                pieces.append(f"--- {path.name}\n{''.join(deque(file, 40))}")
        return "\n".join(pieces)


@contextmanager
def running(home: Path, twin: bool = False, **variables: str) -> Iterator[RunningFarm]:
    """A farm that is stopped in order at the end, with its logs shown where something failed."""
    farm = RunningFarm(home, twin, **variables)
    try:
        farm.start()
        yield farm
        if not farm.crashed:
            farm.stop()
    except BaseException:
        print(farm.text, farm.logs(), sep="\n")
        raise
    finally:
        if farm.process.poll() is None:
            farm.process.kill()
            farm.process.wait(10)


def until(condition: Callable[[], object], seconds: float = 90.0, what: str = "") -> float:
    """Wait; the seconds it took. A part that is just being started again is no failure yet."""
    began = time.monotonic()
    last: Exception | None = None
    while True:
        try:
            if condition():
                return time.monotonic() - began
            last = None
        except (FarmError, httpx.HTTPError, KeyError, ValueError) as error:
            last = error
        waited = time.monotonic() - began
        assert waited < seconds, f"{what or 'it'} did not come to pass in {waited:.0f} s: {last}"
        time.sleep(0.1)


def belongings(home: Path) -> list[psutil.Process]:
    """Every process of this machine that belongs to the home: by its environment, its command
    line, or a file of the home that it holds open (a job's processes have neither of the first
    two)."""
    found = []
    for process in psutil.process_iter():
        try:
            named = process.environ().get("FARMCTL_HOME") == str(home)
            if process.pid != os.getpid() and (named or _holds(process.pid, home)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _holds(pid: int, home: Path) -> bool:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link).startswith(str(home)):
                return True
        except OSError:
            continue
    return False
