"""What the real server alone does: keep, come back, and let each speak for itself alone."""

from __future__ import annotations

import asyncio
import signal
import stat

import pytest

from farmctl import bus_server, nats_bus
from farmctl.bus import Bus
from farmctl.config import Config
from farmctl.errors import BusError
from farmctl.messages import (
    ModelReply,
    ModelRequest,
    RigEvent,
    RigPlan,
)
from tests.farmctl.test_bus import ANY_REQUEST, Inbox, fault, plan


async def test_an_announcement_may_outrun_the_storing(
    bus_process, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    """A slow disk: the bell is heard, and the value is still the old one for some reads."""
    config = bus_process.config
    async with await nats_bus.connect(config.bus_url, config.bus_seed, "test") as bus:
        await bus.put("plans", "rig-a", plan(1))
        watching = bus.watch("plans", "rig-a", RigPlan)
        assert await anext(watching) == plan(1)
        read = bus._entry
        old = [await read("plans", "rig-a")] * 3

        async def read_slowly(bucket: str, key: str) -> tuple[int, bytes] | None:
            return old.pop() if old else await read(bucket, key)

        monkeypatch.setattr(bus, "_entry", read_slowly)
        coming = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0.05)
        await bus.put("plans", "rig-a", plan(2))
        assert await asyncio.wait_for(coming, 2) == plan(2)
        await watching.aclose()  # type: ignore[attr-defined]


async def test_killed_server_loses_no_event_and_no_plan(bus_process) -> None:  # type: ignore[no-untyped-def]
    config = bus_process.config
    inbox = Inbox()
    async with await nats_bus.connect(config.bus_url, config.bus_seed, "test") as bus:
        await bus.put("plans", "rig-a", plan(7))
        await bus.append("event.rig-a", fault(1), "id-1")
        watching = bus.watch("plans", "rig-a", RigPlan)
        assert await anext(watching) == plan(7)
        bus_process.stop(signal.SIGKILL)
        bus_process.start()
        coming = asyncio.ensure_future(anext(watching))
        await _append_until_kept(bus, fault(1), "id-1")  # replayed: the server knows it
        await bus.append("event.rig-a", fault(2), "id-2")
        await bus.consume("event.>", "test", RigEvent, inbox.take_subject)
        await inbox.wait(2)
        assert inbox.got == [fault(1), fault(2)]
        assert await bus.get("plans", "rig-a", RigPlan) == plan(7)
        await bus.put("plans", "rig-a", plan(8))
        assert await asyncio.wait_for(coming, 5) == plan(8)
        await watching.aclose()  # type: ignore[attr-defined]


async def _append_until_kept(bus: Bus, event: RigEvent, message_id: str) -> None:
    """As an agent's outbox does: again until the server has it."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await bus.append("event.rig-a", event, message_id)
            except BusError:
                await asyncio.sleep(0.02)


async def test_stranger_is_refused(bus_process, tmp_path) -> None:  # type: ignore[no-untyped-def]
    url = bus_process.config.bus_url
    with pytest.raises(BusError, match="cannot join"):
        await nats_bus.connect(url, None, "anonymous", timeout_seconds=0.5)
    stranger = tmp_path / "stranger.seed"
    stranger.write_text(bus_server.create_seed()[0])
    with pytest.raises(BusError, match="cannot join"):
        await nats_bus.connect(url, stranger, "stranger", timeout_seconds=0.5)


async def give(_: ModelRequest) -> ModelReply:
    return ModelReply(found=True)


async def test_rig_may_speak_for_itself_alone(config: Config, bus_process, tmp_path) -> None:  # type: ignore[no-untyped-def]
    seed, public = bus_server.create_seed()
    seed_path = tmp_path / "rig-b.seed"
    seed_path.write_text(seed)
    bus_server.admit_rig(config.home, "rig-b", public)
    bus_server.prepare(config)
    assert bus_process.process is not None
    bus_process.process.send_signal(signal.SIGHUP)
    inbox = Inbox()
    async with await nats_bus.connect(config.bus_url, config.bus_seed, "farm") as farm:
        await farm.put("plans", "rig-b", plan(4))
        await farm.append("event.rig-a", fault(0), "id-0")
        await farm.subscribe("inventory.*", RigPlan, inbox.take_subject)
        async with await nats_bus.connect(config.bus_url, seed_path, "rig-b") as rig:
            await rig.publish("inventory.rig-a", plan(1))
            await rig.publish("inventory.rig-b", plan(2))
            await inbox.wait(1)
            await rig.append("event.rig-b", fault(1), "id-1")
            assert await rig.get("plans", "rig-b", RigPlan) == plan(4)
            with pytest.raises(BusError):
                await rig.get("plans", "rig-a", RigPlan)
            for name in ("rig-a", "rig-b"):
                await rig.serve(f"infer.run.{name}.cpu:0", ModelRequest, give)
            await rig.get("plans", "rig-b", RigPlan)  # the server has heard of both by then
            assert (await farm.request("infer.run.rig-b.cpu:0", ANY_REQUEST, ModelReply)).found
            with pytest.raises(BusError, match="nobody serves"):
                await farm.request("infer.run.rig-a.cpu:0", ANY_REQUEST, ModelReply)
    assert inbox.got == [plan(2)]


def test_keys_and_configuration_are_private(config: Config) -> None:
    path = bus_server.prepare(config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.bus_seed.stat().st_mode) == 0o600
    assert config.bus_seed.read_text() not in path.read_text()
