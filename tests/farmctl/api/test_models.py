"""Models by the HTTP API, from a real node: ranking, card, scores, copies, price, cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from farmctl.config import Config
from farmctl.farm import Farm
from farmctl.messages import CacheStatus
from farmctl.node_client import NodeClient
from node.rpc.server import RpcServer
from tests.farmctl.farms import client, node_status, running_farm
from tests.node.models.test_scores import request
from tests.node.test_inference import AUTHOR_GAS, Published
from tests.node.workshop import Clock, mine


@pytest.fixture
async def published(tmp_path: Path) -> AsyncIterator[Published]:
    made = Published(tmp_path / "node", Clock())
    made.publish()
    yield made
    made.node.close()


@pytest.fixture
async def farm(config: Config, published: Published) -> AsyncIterator[Farm]:
    server = RpcServer(published.node, "127.0.0.1", 0)
    await server.start()
    async with running_farm(config) as made:
        await made.node.close()
        made.node = NodeClient(f"http://127.0.0.1:{server.port}")
        yield made
    await server.stop()


@pytest.fixture
async def admin(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    async with client(farm) as made:
        yield made


async def test_a_model_is_shown_with_all_that_is_known(
    published: Published, admin: httpx.AsyncClient
) -> None:
    published.send(published.contract)
    mine(published.node, published.clock)
    published.node.likeness.advance()
    address = "0x" + published.model.hex()
    (listed,) = (await admin.get("/v1/models", params={"by": "calls"})).json()
    found = (await admin.get(f"/v1/models/{address}")).json()
    assert found["model"] == listed
    assert (listed["address"], listed["calls"], listed["copy_of"]) == (address, 1, None)
    assert (found["likenesses"], found["comparison_pending"]) == ([], "")
    assert found["cost"]["infer_gas"] == AUTHOR_GAS + found["cost"]["operations"] // 20_000
    assert (await admin.get("/v1/models", params={"by": "speed"})).json() == []
    assert (await admin.get("/v1/models", params={"by": "beauty"})).status_code == 400


async def test_a_signed_score_is_kept_and_a_false_one_refused(
    published: Published, admin: httpx.AsyncClient
) -> None:
    sent = request(published.model)
    body = {
        "metric": sent["metric"],
        "value": sent["value"],
        "test_set": sent["testSet"],
        "issue": 0,
        "signature": sent["signature"],
    }
    path = f"/v1/models/{sent['model']}"
    kept = await admin.post(f"{path}/scores", json=body)
    assert (kept.status_code, kept.json()["value"]) == (201, 0.93)
    again = await admin.post(f"{path}/scores", json=body)
    assert (again.status_code, "issue must be above 0" in again.json()["message"]) == (400, True)
    found = (await admin.get(path)).json()
    assert [score["scorer"] for score in found["scores"]] == [kept.json()["scorer"]]
    assert found["model"]["ratings"]["accuracy"] == {"median": 0.93, "scorers": 1}
    assert "score" in {entry["action"] for entry in (await admin.get("/v1/audit")).json()}


async def test_the_same_files_again_are_named_a_copy(
    published: Published, admin: httpx.AsyncClient
) -> None:
    entry = published.node.index.find(published.model)
    assert entry is not None
    again = published.create(replace(entry.meta, block_num=0).encode())
    mine(published.node, published.clock)
    first, second = ("0x" + address.hex() for address in (published.model, again))
    found = (await admin.get(f"/v1/models/{second}")).json()
    assert found["model"]["copy_of"] == {"address": first, "kind": "same files"}
    assert [each["earlier"] for each in found["likenesses"]] == [first]
    query = {"earlier": first, "later": second}
    assert (await admin.get("/v1/models/compare", params=query)).json()["is_copy"]


async def test_what_is_not_there_is_said(published: Published, admin: httpx.AsyncClient) -> None:
    assert (await admin.get(f"/v1/models/0x{bytes(20).hex()}")).status_code == 404
    assert (await admin.get("/v1/models/nothing")).status_code == 400
    assert (await admin.get(f"/v1/models/0x{published.input.hex()}")).status_code == 404


async def test_the_cache_is_shown_and_counted(farm: Farm, admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/v1/models/cache")).status_code == 503
    cache = CacheStatus(
        policy="gdsf", limit_bytes=100, used_bytes=60, entries=2, hits=3, misses=1, evictions=0
    )
    await farm.bus.publish("node.status", node_status().model_copy(update={"model_cache": cache}))
    shown = (await admin.get("/v1/models/cache")).json()
    assert (shown["policy"], shown["hit_ratio"]) == ("gdsf", 0.75)
    figures = (await admin.get("/metrics")).text
    assert 'farm_model_cache_requests_total{outcome="hit",policy="gdsf"} 3.0' in figures
