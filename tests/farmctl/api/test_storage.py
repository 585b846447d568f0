"""Files over the API: a job's results out, models and inputs in."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from farmctl.config import Config
from farmctl.domain import JobState
from farmctl.farm import Farm
from farmctl.messages import KeepReply, KeepRequest
from farmctl.store import tokens
from tests.farmctl.farms import client, enrol, progress, running_farm


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made:
        yield made


@pytest.fixture
async def admin(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    async with client(farm) as made:
        yield made


async def put(
    caller: httpx.AsyncClient, content: bytes, artifact: str = "", offset: int = 0, total: int = 0
) -> httpx.Response:
    name = artifact or hashlib.sha256(content).hexdigest()
    query = {"offset": offset, "total_bytes": total or len(content)}
    return await caller.put(f"/v1/artifacts/{name}", params=query, content=content)


async def test_a_file_comes_in_chunks_and_is_whole_only_by_its_hash(
    farm: Farm, admin: httpx.AsyncClient
) -> None:
    content = b"model" * 1000
    name = hashlib.sha256(content).hexdigest()
    first = await put(admin, content[:2000], name, total=len(content))
    assert first.json() == {"stored_bytes": 2000, "complete": False, "detail": ""}
    ahead = await put(admin, content[3000:], name, 3000, len(content))
    assert (ahead.json()["stored_bytes"], ahead.json()["complete"]) == (2000, False)
    assert farm.artifacts.find(name) is None
    rest = await put(admin, content[2000:], name, 2000, len(content))
    assert rest.json()["complete"]
    path = farm.artifacts.find(name)
    assert path is not None and path.read_bytes() == content
    wrong = await put(admin, b"other", "ab" * 32)
    assert "hash differs" in wrong.json()["detail"]
    assert (await put(admin, b"x", "farm.db")).status_code == 400
    assert farm.artifacts.find("../farm.db") is None
    assert (await put(admin, b"x" * (1024 * 1024 + 1))).status_code == 413


async def test_files_go_to_the_node_and_its_refusal_comes_back(
    farm: Farm, admin: httpx.AsyncClient
) -> None:
    asked: list[KeepRequest] = []

    async def node(request: KeepRequest) -> KeepReply:
        asked.append(request)
        whole = {"symbol", "params"} == request.files.keys()
        return KeepReply(infohash="ab" * 20) if whole else KeepReply(detail="no model")

    body = {"files": {"symbol": "11" * 32, "params": "22" * 32}}
    silent = await admin.post("/v1/storage", json=body)
    assert silent.status_code == 503
    await farm.bus.serve("node.keep", KeepRequest, node)
    assert (await admin.post("/v1/storage", json=body)).json() == {"infohash": "ab" * 20}
    assert asked[0].files == body["files"]
    refused = await admin.post("/v1/storage", json={"files": {"data": "11" * 32}})
    assert (refused.status_code, "no model" in refused.json()["message"]) == (400, True)
    unknown = await admin.post("/v1/storage", json={"files": {"torrent": "11" * 32}})
    assert unknown.status_code == 400
    assert "keep" in {entry["action"] for entry in (await admin.get("/v1/audit")).json()}


async def test_who_may_only_read_stores_nothing(farm: Farm) -> None:
    with farm.store.begin() as tx:
        secret = tokens.create(tx, "reader", frozenset({"read"}), farm.clock())[1]
    async with client(farm, secret) as reader:
        assert (await put(reader, b"x")).status_code == 403
        assert (await reader.post("/v1/storage", json={"files": {}})).status_code == 403
    assert not farm.artifacts.folder.exists()


async def test_a_job_hands_out_the_files_it_has_left(farm: Farm, admin: httpx.AsyncClient) -> None:
    await enrol(farm)
    quote = (await admin.post("/v1/quotes", json={"parameters": {"steps": "10"}})).json()
    job = (await admin.post("/v1/jobs", json={"quote": quote["id"], "name": "digits"})).json()["id"]
    content = b"0.5\n0.25\n"
    await put(admin, content)
    results = {"losses.txt": hashlib.sha256(content).hexdigest(), "accuracy": "0.98"}
    plan = farm.executor.current
    assert plan is not None
    generation = plan.assignments[0].generation
    await progress(farm, job, generation, 10, JobState.DONE, results=results)
    found = await admin.get(f"/v1/jobs/{job}/results/losses.txt")
    assert found.content == content
    assert found.headers["content-disposition"] == 'attachment; filename="losses.txt"'
    for path in (f"{job}/results/accuracy", f"{job}/results/nothing", "unknown/results/losses.txt"):
        assert (await admin.get(f"/v1/jobs/{path}")).status_code == 404
