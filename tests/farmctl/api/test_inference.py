"""How inference does, on the bus, in the API and for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from farmctl.bus_engine import BusEngine
from farmctl.config import Config
from farmctl.farm import Farm
from farmctl.inference.messages import DeviceChecks, InferenceStatus, WorkerStatus
from farmctl.inference.reporting import describe
from farmctl.messages import CacheStatus
from node.inference import Answer, CrossCheckedEngine, Inference, ReferenceEngine
from tests.farmctl.farms import client, running_farm
from tests.node.test_inference import VALUES
from tests.node.workshop import Clock, dense_model, open_node

RESIDENCY = CacheStatus(
    policy="gdsf", limit_bytes=100, used_bytes=60, entries=1, hits=9, misses=1, evictions=0
)
WORKER = WorkerStatus(
    device="rig-a/cpu:0",
    models=("ab" * 20,),
    waiting=2,
    residency=RESIDENCY,
    requests=10,
    batches=4,
    p50_milliseconds=1.5,
    p99_milliseconds=8.0,
)
STATUS = InferenceStatus(
    requests={"block": 3, "call": 1},
    **{"hits": 3, "misses": 1, "joined": 1, "refused": 0, "dropped": 0, "failed": 0},
    **{"computed": 4, "waiting": 2, "running": 1, "result_bytes": 10, "result_limit_bytes": 100},
    **{"retracted": 1, "corrected": 0, "prerun_transactions": 2, "prerun_inferences": 2},
    p50_milliseconds=2.0,
    p99_milliseconds=None,
    checks=(
        DeviceChecks(device="rig-a/cpu:0", by_reference=1, by_class=2, mismatches=0),
        DeviceChecks(device="rig-b/cuda:0", by_reference=5, by_class=0, mismatches=1),
    ),
    workers=(WORKER,),
)


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made:
        yield made


@pytest.fixture
async def admin(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    async with client(farm) as made:
        yield made


async def test_a_silent_node_is_not_spoken_for(farm: Farm, admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/v1/inference")).status_code == 503
    assert "farm_infer" not in (await admin.get("/metrics")).text


async def test_workers_are_shown_with_their_checks(farm: Farm, admin: httpx.AsyncClient) -> None:
    await farm.bus.publish("node.inference", STATUS)
    shown = (await admin.get("/v1/inference")).json()
    assert (shown["hit_ratio"], shown["requests"]["block"], shown["computed"]) == (0.75, 3, 4)
    here, gone = shown["workers"]
    assert (here["device"], here["present"], here["hit_ratio"]) == ("rig-a/cpu:0", True, 0.9)
    assert (here["checks_by_class"], here["mismatches"], here["waiting"]) == (2, 0, 2)
    assert (gone["device"], gone["present"], gone["hit_ratio"]) == ("rig-b/cuda:0", False, None)
    assert (gone["mismatches"], gone["p50_milliseconds"]) == (1, None)


async def test_prometheus_gets_every_figure(farm: Farm, admin: httpx.AsyncClient) -> None:
    await farm.bus.publish("node.inference", STATUS)
    lines = (await admin.get("/metrics")).text.splitlines()
    for line in (
        'farm_infer_requests_total{urgency="block"} 3.0',
        'farm_infer_results_total{outcome="hit"} 3.0',
        "farm_infer_joined_total 1.0",
        "farm_infer_waiting 2.0",
        'farm_infer_milliseconds{quantile="0.5"} 2.0',
        'farm_infer_checks_total{by="class",device="rig-a/cpu:0"} 2.0',
        'farm_infer_mismatches_total{device="rig-b/cuda:0"} 1.0',
        'farm_infer_worker_models_total{device="rig-a/cpu:0",outcome="hit"} 9.0',
        'farm_infer_worker_milliseconds{device="rig-a/cpu:0",quantile="0.99"} 8.0',
        'farm_infer_worker_waiting{device="rig-a/cpu:0"} 2.0',
    ):
        assert line in lines, line
    assert not any('quantile="0.99"} 0' in line for line in lines)  # none yet is none


def test_the_node_tells_what_it_counted(tmp_path: Path) -> None:
    class Wrong:
        def run(self, model: str, data: bytes) -> Answer:
            return Answer(bytes(12), "rig-a/cpu:0")

    node = open_node(tmp_path, Clock())
    model = node.loader.storage.put_model(*dense_model())
    checked = CrossCheckedEngine(Wrong(), ReferenceEngine(node.loader), 1.0, lambda *_: None)
    node.inference.close()
    node.inference = Inference(node.loader, checked)
    for _ in range(3):
        node.inference.run(model, VALUES.tobytes(), 0)
    engine = BusEngine(1.0)
    engine.board.hear(WORKER)
    told = InferenceStatus.model_validate_json(describe(node, engine, checked).model_dump_json())
    assert (told.hits, told.misses, told.computed, told.requests["block"]) == (2, 1, 1, 1)
    assert told.workers == (WORKER,)
    (check,) = told.checks
    assert (check.device, check.by_reference, check.mismatches) == ("rig-a/cpu:0", 1, 1)
    node.close()
