"""Events that wait for the bus."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from farmctl.agent.link import BusLink
from farmctl.agent.outbox import Outbox
from farmctl.bus import Bus
from farmctl.errors import BusError, StoreError
from farmctl.memory_bus import MemoryBus
from farmctl.messages import FaultEvent, Message, RigEvent
from tests.farmctl.rig_bench import until


def fault(number: int) -> FaultEvent:
    return FaultEvent(device="cpu:0", code=f"code_{number}", step="none")


def link_to(bus: Bus) -> BusLink:
    async def connect() -> Bus:
        return bus

    link = BusLink(connect)
    link.start()
    return link


async def collect(bus: MemoryBus) -> list[RigEvent]:
    events: list[RigEvent] = []

    async def keep(_: str, event: RigEvent) -> None:
        events.append(event)

    await bus.consume("event.*", "test", RigEvent, keep)
    return events


class ForgetfulBus(MemoryBus):
    """Takes an event, then fails to say so: as when the connection breaks in between."""

    failures = 2

    async def append(self, subject: str, message: Message, message_id: str) -> None:
        await super().append(subject, message, message_id)
        if self.failures > 0:
            self.failures -= 1
            raise BusError("no acknowledgement")


async def test_events_outlive_the_agent_and_keep_their_ids(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "outbox.db", "rig-a")
    ids = [first.put(fault(number)).id for number in range(3)]
    # No close: the agent was killed.
    bus = MemoryBus()
    events = await collect(bus)
    second = Outbox(tmp_path / "outbox.db", "rig-a")
    sending = asyncio.create_task(second.send(link_to(bus)))
    await until(lambda: len(second) == 0 and len(events) == 3)
    sending.cancel()
    assert [event.id for event in events] == ids
    assert len(set(ids)) == 3


async def test_a_lost_acknowledgement_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmctl.agent.outbox.RETRY_SECONDS", 0.01)
    bus = ForgetfulBus()
    events = await collect(bus)
    outbox = Outbox(tmp_path / "outbox.db", "rig-a")
    for number in range(5):
        outbox.put(fault(number))
    sending = asyncio.create_task(outbox.send(link_to(bus)))
    await until(lambda: len(outbox) == 0)
    await until(lambda: len(events) == 5)
    sending.cancel()
    assert [event.body.code for event in events] == [f"code_{n}" for n in range(5)]  # type: ignore[union-attr]


async def test_events_put_later_are_sent_too(tmp_path: Path) -> None:
    bus = MemoryBus()
    events = await collect(bus)
    outbox = Outbox(tmp_path / "outbox.db", "rig-a")
    sending = asyncio.create_task(outbox.send(link_to(bus)))
    await asyncio.sleep(0)
    outbox.put(fault(1))
    await until(lambda: len(events) == 1)
    outbox.put(fault(2))
    await until(lambda: len(events) == 2)
    sending.cancel()


def test_the_oldest_go_when_it_is_full(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", "rig-a", limit=10)
    for number in range(25):
        outbox.put(fault(number))
    assert len(outbox) == 10


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="outbox"):
        Outbox(tmp_path / "file" / "outbox.db", "rig-a")
