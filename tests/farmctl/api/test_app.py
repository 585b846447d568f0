"""The real app over a farm with a bus in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from farmctl.api.app import build_app
from farmctl.config import Config
from farmctl.farm import Farm
from farmctl.messages import NodeStatus, StratumStatus
from farmctl.store import audit, tokens
from tests.farmctl.farms import (
    KEY,
    RIG,
    acknowledge,
    client,
    enrol,
    node_status,
    read,
    running_farm,
)

DEVICE_PATH = f"/v1/devices/{KEY}"


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made:
        yield made


@pytest.fixture
async def admin(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    async with client(farm) as made:
        yield made


def token_of(farm: Farm, *scopes: str) -> str:
    with farm.store.begin() as tx:
        return tokens.create(tx, "+".join(scopes), frozenset(scopes), farm.clock())[1]


async def test_every_read_answers_on_a_farm_that_is_empty(admin: httpx.AsyncClient) -> None:
    paths = ("overview", "rigs", "devices", "switches", "plans", "events", "audit", "jobs", "node")
    market = ("offers", "invoices", "ledger", "ledger/balances")
    for path in (*paths, *market, "session", "tokens", "enrolments"):
        answer = await admin.get(f"/v1/{path}")
        assert answer.status_code == 200, path


async def test_device_shows_what_it_does_and_why(farm: Farm, admin: httpx.AsyncClient) -> None:
    await enrol(farm)
    await acknowledge(farm)
    await read(farm, graphs_per_second=80.0, utilisation_ratio=0.5)
    farm.telemetry.flush()
    await farm.node_status.receive("node.status", node_status())
    device = (await admin.get(DEVICE_PATH)).json()
    assert (device["workload"], device["wanted"], device["state"]) == ("mine", "mine", "healthy")
    assert device["why"] == "nothing sold: mines, and answers INFER"
    assert device["readings"]["graphs_per_second"] == 80.0
    assert device["missing"] == {"power_watts": "no sensor"}
    assert device["net_micro_per_hour"]["mine"] > 0
    overview = (await admin.get("/v1/overview")).json()
    assert overview["devices"] == {"healthy": 1, "attention": 0, "offline": 0, "paused": 0}
    assert overview["workloads"]["mine"] == 1
    assert (overview["power_watts"], overview["power_reporting"]) == (None, 0)
    assert overview["node"]["height"] == 5
    rig = (await admin.get(f"/v1/rigs/{RIG}")).json()
    assert rig["families"][1]["reason"] == "libnvidia-ml.so is not installed"


async def test_series_has_gaps_where_nothing_was_read(farm: Farm, admin: httpx.AsyncClient) -> None:
    await enrol(farm)
    await read(farm, graphs_per_second=80.0)
    farm.clock.now += 1  # type: ignore[attr-defined]
    await read(farm, utilisation_ratio=1.0)
    farm.telemetry.flush()
    query = {"field": "graphs_per_second", "seconds": 60}
    series = (await admin.get(f"{DEVICE_PATH}/readings", params=query)).json()
    assert series["values"] == [80.0, None]


async def test_switch_and_its_confirmation(farm: Farm, admin: httpx.AsyncClient) -> None:
    await enrol(farm)
    await acknowledge(farm)
    body = {"workload": "idle", "lock": True}
    asked = (await admin.post(f"{DEVICE_PATH}/switch", json=body)).json()
    assert asked["state"] == "pending"
    await acknowledge(farm)
    done = (await admin.get(f"/v1/switches/{asked['id']}")).json()
    assert done["state"] == "confirmed"
    assert (await admin.get(DEVICE_PATH)).json()["locked"] is True
    plan = (await admin.get(f"/v1/plans/{done['plan_number']}")).json()
    assert plan["assignments"][0]["reason"] == "locked to idle by local admin"


async def test_pause_and_resume(farm: Farm, admin: httpx.AsyncClient) -> None:
    await enrol(farm)
    await admin.post(f"{DEVICE_PATH}/pause")
    assert (await admin.get(DEVICE_PATH)).json()["state"] == "paused"
    await admin.post(f"{DEVICE_PATH}/resume")
    assert (await admin.get(DEVICE_PATH)).json()["state"] == "healthy"


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/v1/devices/rig-a/cpu:9/switch", {"workload": "idle"}, 404, "NotFound"),
        (f"{DEVICE_PATH}/switch", {"workload": "dance"}, 400, "BadRequest"),
        (f"{DEVICE_PATH}/switch", {"workload": "idle", "x": 1}, 400, "BadRequest"),
        (f"{DEVICE_PATH}/switch", {"workload": "external"}, 403, "Refused"),
        (f"{DEVICE_PATH}/switch", {"workload": "idle", "until": 1}, 400, "BadRequest"),
        ("/v1/jobs/nothing/cancel", None, 404, "NotFound"),
        ("/v1/tokens", {"name": "x", "scopes": ["root"]}, 400, "BadRequest"),
    ],
)
async def test_wrong_requests_are_named_and_change_nothing(
    farm: Farm, admin: httpx.AsyncClient, path: str, body: object, status: int, error: str
) -> None:
    await enrol(farm)
    answer = await admin.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert (await admin.get("/v1/switches")).json() == []
    with farm.store.begin() as tx:
        assert audit.recent(tx, 10) == []


async def test_node_that_is_away_is_said_to_be(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/v1/blocks")
    assert (answer.status_code, answer.json()["error"]) == (503, "Unavailable")


async def test_no_token_and_a_wrong_one(farm: Farm) -> None:
    for secret in ("", "wrong"):
        async with client(farm, secret) as stranger:
            for path in ("/v1/overview", "/v1/stream", "/metrics"):
                assert (await stranger.get(path)).status_code == 401
            assert (await stranger.get("/healthz")).status_code == 200


async def test_scopes_bound_what_a_token_may(farm: Farm) -> None:
    await enrol(farm)
    async with client(farm, token_of(farm, "read")) as reader:
        assert (await reader.get("/v1/devices")).status_code == 200
        assert (await reader.post(f"{DEVICE_PATH}/pause")).status_code == 403
        assert (await reader.get("/v1/tokens")).status_code == 403
    async with client(farm, token_of(farm, "operate")) as operator:
        assert (await operator.post(f"{DEVICE_PATH}/pause")).status_code == 200
        assert (await operator.get("/v1/devices")).status_code == 403


async def test_token_runs_out_and_can_be_revoked(farm: Farm, admin: httpx.AsyncClient) -> None:
    body = {"name": "temp", "scopes": ["read"], "days": 1}
    made = (await admin.post("/v1/tokens", json=body)).json()
    async with client(farm, made["secret"]) as holder:
        assert (await holder.get("/v1/session")).json()["name"] == "temp"
        farm.clock.now += 86_401  # type: ignore[attr-defined]
        assert (await holder.get("/v1/session")).status_code == 401
    assert (await admin.delete(f"/v1/tokens/{made['id']}")).status_code == 204
    assert (await admin.delete(f"/v1/tokens/{made['id']}")).status_code == 404
    listed = (await admin.get("/v1/tokens")).json()
    assert [token["secret"] for token in listed] == [None] * len(listed)


async def test_link_signs_a_browser_in_once(farm: Farm, admin: httpx.AsyncClient) -> None:
    link = (await admin.post("/v1/session/codes")).json()["path"]
    async with client(farm, "") as browser:
        answer = await browser.get(link)
        cookie = answer.headers["set-cookie"]
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert (await browser.get("/v1/overview")).status_code == 200
        forged = await browser.post(f"{DEVICE_PATH}/pause")
        assert (forged.status_code, "X-Farmctl" in forged.json()["message"]) == (403, True)
        headers = {"X-Farmctl": "1"}
        assert (await browser.post(f"{DEVICE_PATH}/pause", headers=headers)).status_code == 404
        assert (await browser.delete("/v1/session", headers=headers)).status_code == 204
        assert (await browser.get("/v1/overview")).status_code == 401
    async with client(farm, "") as second:
        for spent in (link, "/login", "/login?code=" + "x" * 5000):
            answer = await second.get(spent)
            assert (answer.status_code, answer.headers["location"]) == (303, "/?link=spent")
        assert (await second.get("/v1/overview")).status_code == 401


async def test_strange_host_and_large_body_are_refused(farm: Farm) -> None:
    async with client(farm, host="evil.example") as rebound:
        assert (await rebound.get("/v1/overview")).status_code == 421
    async with client(farm) as admin:
        answer = await admin.post("/v1/tokens", content=b"x" * (1024 * 1024 + 1))
        assert answer.status_code == 413


async def test_secrets_are_not_in_the_store(farm: Farm) -> None:
    secret = farm.config.admin_token.read_text().strip()
    farm.store.close()
    assert secret.encode() not in (farm.config.home / "farm.db").read_bytes()


async def test_stream_tells_a_switch(farm: Farm, admin: httpx.AsyncClient) -> None:
    await enrol(farm)
    with farm.live.listen() as listener:
        await admin.post(f"{DEVICE_PATH}/switch", json={"workload": "idle", "lock": True})
        await acknowledge(farm)
        seen = [listener.get_nowait() for _ in range(listener.qsize())]
    kinds = [notice.kind for notice in seen if notice is not None]
    assert kinds == ["event", "switch"]
    assert json.loads(seen[1].body.model_dump_json())["state"] == "confirmed"  # type: ignore[union-attr]


async def test_listener_that_is_too_slow_is_dropped(farm: Farm) -> None:
    with farm.live.listen() as listener:
        for _ in range(listener.maxsize + 1):
            farm.tell("test", "x", "text")
        assert await asyncio.wait_for(listener.get(), 1) is None
        assert farm.live.listeners == 0


async def test_metrics_name_devices_and_shares(farm: Farm, admin: httpx.AsyncClient) -> None:
    await enrol(farm)
    await read(farm, graphs_per_second=80.0)
    text = (await admin.get("/metrics")).text
    assert f'farm_device_graphs_per_second{{device="{KEY}"}} 80.0' in text
    assert f'farm_shares_total{{device="{KEY}",outcome="accepted"}} 0.0' in text
    assert 'farm_device_scrape_success{device="rig-a/cpu:0"} 1.0' in text
    assert 'farm_family_scrape_seconds{family="cpu",rig="rig-a"}' in text
    assert 'farm_family_scrape_success{family="cpu",rig="rig-a"} 1.0' in text


async def test_metrics_tell_a_pools_shares_apart(farm: Farm, admin: httpx.AsyncClient) -> None:
    assert "farm_pool" not in (await admin.get("/metrics")).text
    pool = StratumStatus(
        connections=3,
        miners=2,
        banned=1,
        shares={"accepted": 7, "stale": 4},
        work=70,
        bad_lines=0,
        refused_connections=0,
        dropped_connections=0,
        bans=5,
        blocks=1,
    )
    status = NodeStatus(
        chain="tiny",
        height=1,
        head="",
        time=0,
        difficulty=2,
        syncing=False,
        pending_transactions=0,
        peers=0,
        coinbase="",
        balance_wei="0",
        stratum=pool,
    )
    await farm.node_status.receive("node.status", status)
    text = (await admin.get("/metrics")).text
    assert 'farm_pool_shares_total{outcome="stale"} 4.0' in text
    assert "farm_pool_connections 3.0" in text and "farm_pool_bans_total 5.0" in text


async def test_pages_of_the_dashboard(farm: Farm, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("the page")
    (tmp_path / "assets" / "a.js").write_text("code")
    transport = httpx.ASGITransport(build_app(farm, tmp_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
        for path in ("/", "/devices/rig-a/cpu:0", "/../../etc/passwd"):
            assert (await browser.get(path)).text == "the page"
        answer = await browser.get("/assets/a.js")
        assert "immutable" in answer.headers["cache-control"]
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert (await browser.get("/assets/b.js")).status_code == 404
        assert (await browser.get("/v1/nothing")).json()["error"] == "NotFound"


async def test_dashboard_that_is_not_built_says_so(farm: Farm, tmp_path: Path) -> None:
    transport = httpx.ASGITransport(build_app(farm, tmp_path / "none"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
        answer = await browser.get("/")
    assert answer.status_code == 503
    assert "not built" in answer.text
