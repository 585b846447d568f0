"""How remote inference does, in the API."""

from __future__ import annotations

from dataclasses import replace

from farmctl.config import Config
from farmctl.synapse.messages import SynapseStatus
from tests.farmctl.farms import client, running_farm

STATUS = SynapseStatus(
    listen="127.0.0.1:4321",
    engine="the farm's devices",
    uptime_seconds=60.5,
    requests={"ok": 7, "late": 1},
    **{"connections": 2, "waiting": 1, "kept_results": 5, "kept_bytes": 400},
    **{"resident_models": 1, "resident_bytes": 1000},
    **{"p50_milliseconds": 0.2, "p99_milliseconds": None},
    **{"following": None, "follow_block": None, "follow_wanted": None, "prefetched_bytes": None},
)


async def test_none_is_shown_as_none(config: Config) -> None:
    async with running_farm(config) as farm, client(farm) as admin:
        found = (await admin.get("/v1/synapse")).json()
        assert found == {"configured": False, "service": None}
        assert (await client(farm, "").get("/v1/synapse")).status_code == 401


async def test_what_the_service_reports(config: Config) -> None:
    synapse = replace(config.synapse, listen="127.0.0.1:4321")
    async with running_farm(replace(config, synapse=synapse)) as farm, client(farm) as admin:
        assert (await admin.get("/v1/synapse")).json() == {"configured": True, "service": None}
        await farm.bus.publish("synapse.status", STATUS)
        shown = (await admin.get("/v1/synapse")).json()["service"]
        assert (shown["requests"], shown["p50_milliseconds"]) == ({"ok": 7, "late": 1}, 0.2)
        assert shown["following"] is None and shown["p99_milliseconds"] is None
        farm.clock.now += 10  # type: ignore[attr-defined]
        assert (await admin.get("/v1/synapse")).json()["service"] is None
