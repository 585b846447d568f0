"""A second rig, added over a real SSH connection to a farm that runs, and taken out again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from farmctl import bus_server
from farmctl.client import ApiClient
from farmctl.config import Config, load
from farmctl.errors import FarmError
from farmctl.fleet import known_rigs, service
from tests.farmctl.conftest import BusServer
from tests.farmctl.fleet.conftest import SshServer
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]


def environment(config: Config) -> dict[str, str]:
    """Of a process that works from this farm's home on its ports."""
    settings = {
        "FARMCTL_HOME": str(config.home),
        "FARMCTL_FARM_RIG": config.farm.rig,
        "FARMCTL_BUS_HOST": config.bus.host,
        "FARMCTL_BUS_PORT": str(config.bus.port),
        "FARMCTL_API_PORT": str(config.api.port),
        "FARMCTL_NODE_PORT": str(config.node.port),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FARMCTL_")}
    return kept | settings | {"PYTHONPATH": str(ROOT)}


@dataclass
class RunningFarm:
    """A controller in a process of its own, on a real bus."""

    config: Config
    api: ApiClient

    def rig(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "farmctl", "rig", *words],
            env=environment(self.config),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFarm]:
    config = load(
        {
            "FARMCTL_HOME": str(tmp_path_factory.mktemp("farm") / "home"),
            "FARMCTL_FARM_RIG": "rig-a",
            "FARMCTL_BUS_HOST": "0.0.0.0",  # so that the bus speaks mutual TLS
            "FARMCTL_BUS_PORT": str(free_port()),
            "FARMCTL_API_PORT": str(free_port()),
            "FARMCTL_NODE_PORT": str(free_port()),
        }
    )
    bus = BusServer(config)
    bus.start()
    process = subprocess.Popen(
        [sys.executable, "-m", "farmctl", "controller"],
        env=environment(config),
        stdin=subprocess.DEVNULL,
    )
    try:
        wait_for(config.admin_token.exists, 30, "the controller's token")
        api = ApiClient(config)
        wait_for(lambda: succeeds(lambda: api.get("/v1/rigs")), 30, "the API")
        yield RunningFarm(config, api)
    finally:
        process.terminate()
        process.wait(20)
        bus.stop()


def succeeds(call: Callable[[], Any]) -> bool:
    with contextlib.suppress(FarmError):
        call()
        return True
    return False


def wait_for(true: Callable[[], bool], patience_seconds: float, what: str) -> None:
    deadline = time.monotonic() + patience_seconds
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def add_words(sshd: SshServer, folder: Path, *more: str) -> list[str]:
    """`rig add` without a package index: this Python's own packages are shared with the rig."""
    there = sshd.destination
    return [
        *("add", f"{there.user}@{there.host}", "--port", str(there.port)),
        *("--identity", there.identity, "--name", "rig2", "--folder", str(folder)),
        *("--python", sys.executable, "--share-packages", "--no-systemd", *more),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of the rig; whatever a failed test left running there is stopped."""
    path = tmp_path / "rig2"
    yield path
    if service.is_kept(path / "home"):
        service.stop(path / "home")


@pytest.mark.timeout(400)  # it builds a wheel and makes an environment
def test_rig_is_added_works_survives_and_is_removed(
    farm: RunningFarm, sshd: SshServer, folder: Path
) -> None:
    added = farm.rig(*add_words(sshd, folder, "--accept-host-key", sshd.fingerprint))
    assert added.returncode == 0, added.stderr
    assert "rig2 is a rig of this farm" in added.stdout
    assert [rig["name"] for rig in farm.api.get("/v1/rigs")] == ["rig2"]
    wait_for(lambda: follows_plan(farm), 30, "the rig to follow a plan")
    assert 'url = "tls://127.0.0.1:' in (folder / "home" / "farm.toml").read_text()
    kill_agent(folder)
    assert farm.rig(*add_words(sshd, folder)).returncode == 1
    log = folder / "home" / "logs" / "agent.log"
    wait_for(lambda: "starts again" in log.read_text(), 10, "the keeper to notice")

    removed = farm.rig("remove", "rig2")
    assert removed.returncode == 0, removed.stderr
    assert "note:" not in removed.stderr
    assert farm.api.get("/v1/rigs") == []
    assert bus_server.admitted_key(farm.config.home, "rig2") is None
    assert not folder.exists()
    assert known_rigs.find(farm.config.home, "rig2") is None


def follows_plan(farm: RunningFarm) -> bool:
    rig = farm.api.get("/v1/rigs/rig2")
    return bool(rig["devices"] and rig["plan_number"])


def kill_agent(folder: Path) -> None:
    """Strike the agent's process, which its keeper has to notice."""
    keeper = (folder / "home" / "rig" / "keeper.pid").read_text()
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)


def test_removal_tells_when_the_machine_is_out_of_reach(farm: RunningFarm, sshd: SshServer) -> None:
    farm.api.post("/v1/enrolments", {"rig": "rig9"})
    gone = dataclasses.replace(sshd.destination, port=free_port())
    known_rigs.remember(farm.config.home, "rig9", gone, "/home/rig9")
    removed = farm.rig("remove", "rig9")
    assert removed.returncode == 0, removed.stderr
    assert "delete /home/rig9" in " ".join(removed.stderr.split())
    assert known_rigs.find(farm.config.home, "rig9") is None


@pytest.fixture
def broken_wheel(tmp_path: Path) -> Path:
    path = tmp_path / "farmctl-0.1.0-py3-none-any.whl"
    path.write_bytes(b"no zip")
    return path


def test_failed_installation_leaves_nothing(
    farm: RunningFarm, sshd: SshServer, folder: Path, broken_wheel: Path
) -> None:
    words = add_words(sshd, folder, "--accept-host-key", sshd.fingerprint)
    failed = farm.rig(*words, "--wheel", str(broken_wheel))
    assert failed.returncode == 1
    assert "pip" in failed.stderr and "Traceback" not in failed.stderr
    assert not folder.exists()
    assert farm.rig("remove", "rig2").returncode == 1  # nothing of it is known


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--python", "/bin/true-not"], "needs Python 3.11"),
        (["--name", "Rig 2"], "give a --name"),
        (["--site", "a b"], "give a --site"),
    ],
)
def test_what_cannot_be_added(
    farm: RunningFarm, sshd: SshServer, folder: Path, change: list[str], says: str
) -> None:
    words = add_words(sshd, folder, "--accept-host-key", sshd.fingerprint, *change)
    failed = farm.rig(*words)
    assert failed.returncode == 1
    assert says in failed.stderr
    assert not folder.exists()
