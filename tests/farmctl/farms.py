"""A controller without processes: the real `Farm` and app over a bus in memory."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from farmctl.api.app import build_app
from farmctl.config import Config
from farmctl.controller import admit_local_admin, listen
from farmctl.domain import JobState, Workload
from farmctl.farm import Farm
from farmctl.memory_bus import MemoryBus
from farmctl.messages import (
    DeviceAck,
    DeviceReport,
    FamilyReport,
    FaultEvent,
    InventoryReport,
    JobProgress,
    NodeStatus,
    Reading,
    ReadingBatch,
    RigEvent,
    RigPlan,
    SelfTestReport,
    ShareEvent,
)
from farmctl.store import Store

RIG, DEVICE = "rig-a", "cpu:0"
KEY = f"{RIG}/{DEVICE}"


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@functools.cache
def migrated_database() -> bytes:
    """An empty database, made once by the real migrations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "farm.db"
        Store(f"sqlite:///{path}").close()
        return path.read_bytes()


@asynccontextmanager
async def running_farm(config: Config) -> AsyncIterator[Farm]:
    database = config.home / "farm.db"
    if not database.exists():
        config.home.mkdir(parents=True, exist_ok=True)
        database.write_bytes(migrated_database())
    store, bus = Store(config.store_url), MemoryBus()
    farm = Farm(config, store, bus, Clock())
    admit_local_admin(farm)
    farm.executor.load()
    await listen(farm, bus)
    yield farm
    await bus.close()
    await farm.node.close()
    store.close()


def client(farm: Farm, token: str | None = None, host: str = "localhost") -> httpx.AsyncClient:
    """As the local admin, or with another token; an empty one is none."""
    secret = farm.config.admin_token.read_text() if token is None else token
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    transport = httpx.ASGITransport(build_app(farm))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=headers)


def report(
    *proved: str, health: str = "ok", workload: Workload = Workload.IDLE, plan_number: int = 0
) -> InventoryReport:
    tests = tuple(SelfTestReport(capability=name, passed=True) for name in proved)
    device = DeviceReport(
        id=DEVICE,
        hardware_id="cpu-1",
        family="cpu",
        model="Test CPU",
        capabilities=proved,
        health=health,
        self_tests=tests,
        workload=workload,
    )
    families = (
        FamilyReport(family="cpu", status="pass"),
        FamilyReport(family="cuda", status="absent", reason="libnvidia-ml.so is not installed"),
    )
    return InventoryReport(
        rig=RIG,
        site="home",
        boot_id="boot",
        at=0.0,
        agent_version="1",
        plan_number=plan_number,
        families=families,
        devices=(device,),
    )


async def enrol(farm: Farm, *proved: str) -> RigPlan:
    """Report a rig with one device, and return the plan that it gets."""
    await farm.keeper.receive(f"inventory.{RIG}", report(*(proved or ("cuckoo", "infer", "train"))))
    await farm.decide()
    plan = await farm.bus.get("plans", RIG, RigPlan)
    assert plan is not None
    return plan


_ids = iter(range(10**9))


def event(
    body: DeviceAck | FaultEvent | JobProgress | ShareEvent, identity: str | None = None
) -> RigEvent:
    return RigEvent(id=identity or f"e-{next(_ids)}", rig=RIG, at=0.0, body=body)


async def acknowledge(farm: Farm, state: str = "running", detail: str = "") -> None:
    """Do as a rig does: take its plan and say so."""
    plan = await farm.bus.get("plans", RIG, RigPlan)
    assert plan is not None
    line = plan.assignments[0]
    body = DeviceAck.model_validate(
        {
            "device": line.device,
            "plan_number": plan.number,
            "workload": line.workload,
            "job_id": line.job_id,
            "state": state,
            "seconds": 0.5,
            "detail": detail,
        }
    )
    await farm.reports.receive(event(body))


async def progress(
    farm: Farm,
    job: str,
    generation: int,
    steps: int,
    state: JobState = JobState.RUNNING,
    **known: object,
) -> None:
    body = JobProgress.model_validate(
        {
            "job_id": job,
            "device": DEVICE,
            "generation": generation,
            "state": state,
            "steps_done": steps,
            "device_seconds": steps / 10,
            "loss": 1.0 / (steps + 1),
            **known,
        }
    )
    await farm.reports.receive(event(body))


async def read(farm: Farm, **values: float) -> None:
    """A reading of the device now."""
    reading = Reading(
        device=DEVICE, at=farm.clock(), values=values, missing={"power_watts": "no sensor"}
    )
    await farm.telemetry.receive(f"reading.{RIG}", ReadingBatch(rig=RIG, readings=(reading,)))


def node_status(**known: object) -> NodeStatus:
    status = {
        "chain": "farmnet",
        "height": 5,
        "head": "ab",
        "time": 1_800_000_000,
        "difficulty": 100,
        "syncing": False,
        "pending_transactions": 0,
        "peers": 0,
        "coinbase": "0x00",
        "balance_wei": "7",
    }
    return NodeStatus.model_validate(status | known)
