"""``farmctl bench cuckoo`` on this machine's processors, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from drivers import registry
from farmctl.api.app import build_app as build_api
from farmctl.cli import build_app
from farmctl.commands import bench
from farmctl.config import Config
from farmctl.errors import BadRequest, FarmError, NotFound, Refused
from farmctl.tuning.measuring import Effort
from tests.farmctl.farms import KEY, acknowledge, enrol, running_farm
from tests.support.ports import free_port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "QUICK", Effort(slices=2, slice_seconds=0.05))
    monkeypatch.setenv("FARMCTL_HOME", str(tmp_path))
    monkeypatch.setenv("FARMCTL_API_PORT", str(free_port()))  # Of no farm that runs here.
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["bench", "cuckoo", "--quick", *arguments])


def test_best_is_shown_and_kept(home: Path) -> None:
    answer = call("--edge-bits", "12", "--device", "cpu:0")
    assert answer.exit_code == 0, answer.output
    assert "cuckaroo 4-8, 12 edge bits" in answer.stdout
    assert "default" in answer.stdout
    assert "█" in answer.stdout
    kept = json.loads((home / "rig" / "tuning.json").read_text())["tuned"]
    assert [one["edge_bits"] for one in kept] == [12]


def test_json_tells_every_variant(home: Path) -> None:
    answer = call("--edge-bits", "12", "--algorithm", "cuckaroo29", "--json")
    assert answer.exit_code == 0, (answer.output, answer.exception)
    (found,) = json.loads(answer.stdout)
    assert found["device"] == "cpu:0"
    assert found["variants"][0]["options"] == {}
    assert all(one["graphs_per_second"] > 0 for one in found["variants"])
    assert found["kept"]["algorithm"] == "cuckaroo 2-4"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--edge-bits", "9"], BadRequest, "edge bits must be 10 to 32"),
        (["--algorithm", "sha256"], BadRequest, "there are cuckaroo30-ctx"),
        (["--device", "abacus:0"], NotFound, "no device 'abacus:0'"),
        (["--power-sweep"], Refused, "no power limit"),
    ],
)
def test_bad_input_is_refused(
    home: Path, arguments: list[str], error: type[FarmError], message: str
) -> None:
    answer = call(*arguments)
    assert isinstance(answer.exception, error)
    assert message in str(answer.exception)
    assert not (home / "rig").exists()


def test_unknown_chain_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARMCTL_NODE_CHAIN", "moonnet")
    answer = call()
    assert isinstance(answer.exception, BadRequest)
    assert "no network 'moonnet'" in str(answer.exception)


async def test_device_at_work_is_refused(config: Config) -> None:
    """Asked of a real controller over HTTP."""
    devices = [registry.find_device("cpu", "cpu:0")]
    bench.check_idle(config, devices)
    async with running_farm(config) as farm, served(farm, config.api.port):
        await enrol(farm)
        await acknowledge(farm)
        with pytest.raises(Refused, match="--pause"):
            await asyncio.to_thread(bench.check_idle, config, devices)
        await farm.requests.pause(KEY, "admin")
        await acknowledge(farm)
        await asyncio.to_thread(bench.check_idle, config, devices)


class served:
    """The farm's API on a real port."""

    def __init__(self, farm: Any, port: int) -> None:
        settings = uvicorn.Config(build_api(farm), port=port, log_level="error", lifespan="off")
        self._server = uvicorn.Server(settings)

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task
