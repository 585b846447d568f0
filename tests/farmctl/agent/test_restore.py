"""A whole agent process puts a GPU's power limit back: when it ends, and after it was killed.

The GPU is a fake libnvidia-ml's, found by the loader; its searches run on the processor.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fake_nvml import Machine, create_machine
from nvml_fixtures import build

from benchmarks.farm_of_all.machine import ROOT, STAND_IN
from farmctl.config import Config
from farmctl.domain import Workload
from tests.farmctl.agent.test_loop import AgentProcess, Farm, farm, server
from tests.farmctl.rig_bench import until

__all__ = ["farm", "server"]

DEVICE = "cuda:0"
FULL_MW, MINING_MW = 350_000, 245_000


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "amd").mkdir()
    (tmp_path / "lib").mkdir()
    build(tmp_path / "lib/libnvidia-ml.so.1", "-Wl,-soname,libnvidia-ml.so.1")
    return create_machine(tmp_path / "nvml")


@pytest.fixture
async def agent(config: Config, machine: Machine, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    made = AgentProcess(config, tmp_path / "agent.log")
    made._environment |= {
        "PYTHONPATH": os.pathsep.join(map(str, (STAND_IN, ROOT))),
        "LD_LIBRARY_PATH": str(tmp_path / "lib"),
        "FAKE_NVML_STATE": str(tmp_path / "nvml"),
        "FARM_OF_ALL": str(tmp_path),
    }
    await made.start()
    yield made
    await made.stop(signal.SIGKILL)


async def test_limits_are_put_back(
    agent: AgentProcess, farm: Farm, machine: Machine, config: Config
) -> None:
    gpu = machine.gpus[0]
    await farm.plan(1, Workload.MINE, device=DEVICE)
    await until(lambda: gpu.limit_mw == MINING_MW, 60)
    await agent.stop(signal.SIGTERM)
    assert gpu.limit_mw == FULL_MW
    assert (config.home / "rig/settings.json").read_text() == "{}"

    await agent.start()
    await until(lambda: gpu.limit_mw == MINING_MW, 60)
    await agent.stop(signal.SIGKILL)
    assert gpu.limit_mw == MINING_MW, "nobody was there to put it back"
    await farm.plan(2, Workload.IDLE, device=DEVICE)
    await agent.start()
    await until(lambda: gpu.limit_mw == FULL_MW, 60)
