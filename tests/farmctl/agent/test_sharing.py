"""What an INFER reserve leaves of a GPU to mining, and the other way round."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from drivers import registry
from drivers.base import Capability, DeviceInfo
from drivers.errors import DeviceLost
from farmctl.agent.link import BusLink
from farmctl.agent.runner import work_key
from farmctl.agent.sharing import infer_options, mining_options
from farmctl.domain import Priority, Workload
from farmctl.messages import AssignmentMessage
from farmctl.workloads import infer, mine
from farmctl.workloads.base import Place

GIB = 1 << 30
MINING = AssignmentMessage(
    device="rig-a/cuda:0",
    workload=Workload.MINE,
    priority=Priority.MINING,
    reason="nothing else to do",
    infer_reserve=True,
)


@dataclasses.dataclass
class Found:
    info: DeviceInfo


def place_of(device_id: str, tmp_path: Path) -> Place:
    return Place("rig-a", device_id, "run-1", tmp_path, BusLink("rig-a"), lambda _: None)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> DeviceInfo:
    both = frozenset({Capability.CUCKOO, Capability.INFER})
    info = DeviceInfo("cuda:0", "GPU-1", "cuda", "a GPU", both, memory_bytes=80 * GIB)
    monkeypatch.setattr(registry, "find_device", lambda family, device_id: Found(info))
    return info


def test_memory_is_shared_out_whole(gpu: DeviceInfo, tmp_path: Path) -> None:
    place = place_of("cuda:0", tmp_path)
    models, graphs = infer_options(place), mining_options(place)
    assert models["memory_limit_bytes"] + graphs["memory_limit_bytes"] == gpu.memory_bytes
    assert models["memory_limit_bytes"] == place.infer_bytes // 4 + (256 << 20)
    assert graphs["yield_seconds"] > 0


def test_a_small_card_can_still_mine(
    gpu: DeviceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 GiB: seven are left, which Cortex's graphs fit."""
    small = dataclasses.replace(gpu, memory_bytes=8 * GIB)
    monkeypatch.setattr(registry, "find_device", lambda family, device_id: Found(small))
    assert mining_options(place_of("cuda:0", tmp_path))["memory_limit_bytes"] == 7 * GIB


@pytest.mark.parametrize("through", ["opencl", "rocm through OpenCL"])
def test_rests_are_asked_of_those_that_know_them(
    gpu: DeviceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    family = through.split()[0]
    details = {"through": "OpenCL"} if family == "rocm" else {}
    other = dataclasses.replace(gpu, id=f"{family}:0", family=family, details=details)
    monkeypatch.setattr(registry, "find_device", lambda family, device_id: Found(other))
    assert set(mining_options(place_of(f"{family}:0", tmp_path))) == {"memory_limit_bytes"}


def test_processors_and_lost_gpus_are_opened_as_their_drivers_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(family: str, device_id: str) -> Any:
        raise DeviceLost("gone")

    monkeypatch.setattr(registry, "find_device", lose)
    place = place_of("cuda:0", tmp_path)
    assert infer_options(place) == mining_options(place) == {}
    place = place_of("cpu:0", tmp_path)
    assert mining_options(place) == {}
    assert infer_options(place) == {"blob_folder": str(place.folder / "packed")}


@pytest.mark.usefixtures("gpu")
async def test_sessions_are_opened_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    def open_session(*_: object, **options: Any) -> None:
        opened.append(options)

    monkeypatch.setattr(mine, "open_session", open_session)
    monkeypatch.setattr(infer, "open_session", open_session)
    place = place_of("cuda:0", tmp_path)
    await mine.create(place, MINING).start()
    await mine.create(place, MINING.model_copy(update={"infer_reserve": False})).start()
    await infer.create(place, MINING).start()
    assert opened == [mining_options(place), {}, infer_options(place)]


def test_a_reserve_that_comes_starts_mining_anew_on_a_gpu_alone() -> None:
    alone = MINING.model_copy(update={"infer_reserve": False})
    assert work_key(MINING, "cuda") != work_key(alone, "cuda")
    assert work_key(MINING, "cpu") == work_key(alone, "cpu")
