"""Lists that are read page by page: nothing twice, nothing left out, every page bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from farmctl.config import Config
from farmctl.domain import Job, JobState
from farmctl.farm import Farm
from farmctl.market import settlement
from farmctl.store import audit, jobs
from farmctl.store.jobs import JobRecord
from tests.farmctl.farms import client, running_farm

COUNT = 7
JOB = Job(
    id="",
    customer="ada",
    name="digits",
    kind="digits-cnn",
    parameters={},
    state=JobState.DONE,
    interruptible=True,
    price_micro_per_hour=600_000,
    created=0.0,
    total_steps=10,
    steps_done=10,
    device_seconds=36.0,
)


def make_job(number: int) -> Job:
    """Two jobs share each time, as ids do when orders come at once."""
    return Job(**vars(JOB) | {"id": f"j{number}", "created": float(number // 2)})


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made:
        for number in range(COUNT):
            made.tell("test", f"subject-{number % 2}", "text", "warning" if number else "info")
        with made.store.begin() as tx:
            for number in range(COUNT):
                job = make_job(number)
                jobs.add(tx, job)
                settlement.settle(tx, JobRecord(job, 0, 0, None, {}, 0), job.created)
                audit.append(tx, 0.0, "test", "act", str(number))
        yield made


@pytest.fixture
async def admin(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    async with client(farm) as made:
        yield made


async def get(admin: httpx.AsyncClient, path: str, **query: object) -> list[Any]:
    answer = await admin.get(f"/v1/{path}", params={k: str(v) for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return list(answer.json())


@pytest.mark.parametrize("path", ["jobs", "invoices", "events", "audit", "ledger"])
async def test_pages_join_to_the_whole(admin: httpx.AsyncClient, path: str) -> None:
    whole = [entry["id"] for entry in await get(admin, path)]
    assert len(set(whole)) == COUNT
    joined: list[object] = []
    page = await get(admin, path, limit=2)
    while page:
        joined += [entry["id"] for entry in page]
        page = await get(admin, path, limit=2, before=joined[-1])
    assert joined == whole


async def test_events_from_a_level_on_and_of_a_subject(admin: httpx.AsyncClient) -> None:
    assert len(await get(admin, "events", least="warning")) == COUNT - 1
    assert await get(admin, "events", least="error") == []
    assert len(await get(admin, "events", subject="subject-1")) == COUNT // 2


async def test_nothing_comes_before_what_is_not_there(admin: httpx.AsyncClient) -> None:
    for path in ("jobs", "invoices"):
        assert await get(admin, path, before="nothing") == []


@pytest.mark.parametrize(
    "query",
    ["events?before=-1", f"audit?before={2**63}", "jobs?limit=501", "ledger?limit=0"],
)
async def test_pages_out_of_bounds_are_refused(admin: httpx.AsyncClient, query: str) -> None:
    answer = await admin.get(f"/v1/{query}")
    assert (answer.status_code, answer.json()["error"]) == (400, "BadRequest")


async def test_an_invoice_is_owed_until_it_is_paid_once(
    farm: Farm, admin: httpx.AsyncClient
) -> None:
    before = await get(admin, "invoices")
    assert [invoice["paid"] for invoice in before] == [None] * COUNT
    paid = (await admin.post("/v1/invoices/INV-j3/pay")).json()
    assert paid["paid"] == farm.clock()
    assert (await admin.get("/v1/invoices/INV-j3")).json() == paid
    assert (await admin.get("/v1/invoices/INV-none")).status_code == 404
    again = await admin.post("/v1/invoices/INV-j3/pay")
    assert (again.status_code, again.json()["error"]) == (403, "Refused")
    after = {invoice["id"]: invoice["paid"] for invoice in await get(admin, "invoices")}
    assert {name for name, time in after.items() if time is not None} == {"INV-j3"}
    balances = {b["account"]: b["balance_micro"] for b in await get(admin, "ledger/balances")}
    assert (sum(balances.values()), balances["cash"]) == (0, paid["total_micro"])
    assert balances["receivable:ada"] == (COUNT - 1) * paid["total_micro"]
