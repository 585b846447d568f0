"""One contract, both buses: the real server and the one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from farmctl import nats_bus
from farmctl.bus import Bus
from farmctl.errors import BusError
from farmctl.memory_bus import MemoryBus, matches
from farmctl.messages import (
    FaultEvent,
    Message,
    ModelReply,
    ModelRequest,
    RigEvent,
    RigPlan,
    Submission,
    SubmissionReply,
)

ANY_REQUEST = ModelRequest(model="ab" * 20, file="symbol")


def fault(number: int) -> RigEvent:
    body = FaultEvent(device="cpu:0", code=f"code_{number}", step="reset_session")
    return RigEvent(id=f"id-{number}", rig="rig-a", at=1.0, body=body)


def plan(number: int) -> RigPlan:
    return RigPlan(rig="rig-a", number=number, created=1.0, assignments=())


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "memory":
        made: Bus = MemoryBus()
    else:
        server = request.getfixturevalue("bus_process")
        made = await nats_bus.connect(server.config.bus_url, server.config.bus_seed, "test")
    yield made
    await made.close()


class Inbox:
    """Collects what handlers get and waits for a count."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self._changed = asyncio.Condition()

    async def take(self, message: Message) -> None:
        async with self._changed:
            self.got.append(message)
            self._changed.notify_all()

    async def take_subject(self, subject: str, message: Message) -> None:
        await self.take(message)

    async def wait(self, count: int, seconds: float = 10.0) -> None:
        async with self._changed:
            condition = self._changed.wait_for(lambda: len(self.got) >= count)
            await asyncio.wait_for(condition, seconds)


async def test_publish_reaches_subscribers_of_a_wildcard(bus: Bus) -> None:
    inbox = Inbox()
    await bus.subscribe("reading.*", RigPlan, inbox.take_subject)
    await bus.publish("other.rig-a", plan(1))
    await bus.publish("reading.rig-a", plan(2))
    await inbox.wait(1)
    assert inbox.got == [plan(2)]


async def test_malformed_message_never_reaches_the_handler(bus: Bus) -> None:
    inbox = Inbox()
    await bus.subscribe("reading.*", RigPlan, inbox.take_subject)
    await bus.publish("reading.rig-a", fault(1))
    await bus.publish("reading.rig-a", plan(1))
    await inbox.wait(1)
    assert inbox.got == [plan(1)]
    assert bus.malformed == 1  # type: ignore[attr-defined]


async def test_stopped_subscription_gets_nothing(bus: Bus) -> None:
    stopped, kept = Inbox(), Inbox()
    subscription = await bus.subscribe("reading.*", RigPlan, stopped.take_subject)
    await bus.subscribe("reading.*", RigPlan, kept.take_subject)
    await subscription.stop()
    await bus.publish("reading.rig-a", plan(1))
    await kept.wait(1)
    assert stopped.got == []


async def test_stream_keeps_events_for_a_consumer_that_comes_later(bus: Bus) -> None:
    for number in range(3):
        await bus.append("event.rig-a", fault(number), f"id-{number}")
    inbox = Inbox()
    await bus.consume("event.>", "test", RigEvent, inbox.take_subject)
    await inbox.wait(3)
    assert inbox.got == [fault(0), fault(1), fault(2)]


async def test_stream_drops_a_repeated_id(bus: Bus) -> None:
    inbox = Inbox()
    for number in (1, 1, 2):
        await bus.append("event.rig-a", fault(number), f"id-{number}")
    await bus.consume("event.>", "test", RigEvent, inbox.take_subject)
    await inbox.wait(2)
    await asyncio.sleep(0.05)
    assert inbox.got == [fault(1), fault(2)]


async def test_message_comes_again_when_its_handler_raised(bus: Bus) -> None:
    inbox = Inbox()

    async def fail_once(_: str, message: RigEvent) -> None:
        await inbox.take(message)
        if len(inbox.got) == 1:
            raise RuntimeError("not this time")

    await bus.consume("event.>", "test", RigEvent, fail_once)
    await bus.append("event.rig-a", fault(1), "id-1")
    await inbox.wait(2)
    assert inbox.got == [fault(1), fault(1)]


async def test_request_is_answered_by_one_of_a_queue(bus: Bus) -> None:
    answered: list[str] = []

    def server(name: str):  # type: ignore[no-untyped-def]
        async def answer(request: ModelRequest) -> ModelReply:
            answered.append(name)
            return ModelReply(found=True, detail=name)

        return answer

    await bus.serve("node.model", ModelRequest, server("one"), queue="q")
    await bus.serve("node.model", ModelRequest, server("two"), queue="q")
    for _ in range(8):
        reply = await bus.request("node.model", ANY_REQUEST, ModelReply)
        assert reply.detail == answered[-1]
    assert len(answered) == 8


async def test_requests_are_handed_over_several_at_once(bus: Bus) -> None:
    here, most = 0, 0
    full = asyncio.Event()

    async def answer(request: ModelRequest) -> ModelReply:
        nonlocal here, most
        here, most = here + 1, max(most, here + 1)
        if here == 3:
            full.set()
        await asyncio.wait_for(full.wait(), 10)
        await asyncio.sleep(0.01)
        here -= 1
        return ModelReply(found=True)

    serving = await bus.serve("node.model", ModelRequest, answer, at_once=3)
    asked = [bus.request("node.model", ANY_REQUEST, ModelReply) for _ in range(9)]
    assert all(reply.found for reply in await asyncio.gather(*asked))
    assert most == 3
    await serving.stop()


async def test_what_was_handed_over_is_answered_by_one_who_leaves(bus: Bus) -> None:
    came, leave = asyncio.Event(), asyncio.Event()

    async def answer(request: ModelRequest) -> ModelReply:
        came.set()
        await leave.wait()
        return ModelReply(found=True)

    serving = await bus.serve("node.model", ModelRequest, answer, at_once=2)
    asked = asyncio.create_task(bus.request("node.model", ANY_REQUEST, ModelReply))
    await came.wait()
    stopping = asyncio.create_task(serving.stop())
    await asyncio.sleep(0.01)
    leave.set()
    assert (await asked).found
    await stopping


async def test_request_nobody_serves_is_an_error_at_once(bus: Bus) -> None:
    with pytest.raises(BusError, match="nobody serves"):
        await bus.request("node.model", ANY_REQUEST, ModelReply, timeout_seconds=30)


async def test_late_answer_is_an_error(bus: Bus) -> None:
    async def sleep(request: ModelRequest) -> ModelReply:
        await asyncio.sleep(5)
        return ModelReply(found=False)

    await bus.serve("node.model", ModelRequest, sleep)
    with pytest.raises(BusError, match=r"within 0\.05 s"):
        await bus.request("node.model", ANY_REQUEST, ModelReply, timeout_seconds=0.05)


async def test_failed_and_malformed_requests_are_told_to_the_caller(bus: Bus) -> None:
    async def fail(request: ModelRequest) -> ModelReply:
        raise RuntimeError("out of\nluck")

    await bus.serve("node.model", ModelRequest, fail)
    with pytest.raises(BusError, match="out of"):
        await bus.request("node.model", ANY_REQUEST, ModelReply)
    with pytest.raises(BusError, match="malformed request"):
        await bus.request("node.model", plan(1), ModelReply)


async def test_latest_value_is_kept_and_watched(bus: Bus) -> None:
    assert await bus.get("plans", "rig-a", RigPlan) is None
    await bus.put("plans", "rig-a", plan(1))
    await bus.put("plans", "rig-a", plan(2))
    assert await bus.get("plans", "rig-a", RigPlan) == plan(2)
    watching = bus.watch("plans", "rig-a", RigPlan)
    assert await asyncio.wait_for(anext(watching), 5) == plan(2)
    coming = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0.05)
    await bus.put("plans", "rig-a", plan(3))
    assert await asyncio.wait_for(coming, 5) == plan(3)
    await watching.aclose()  # type: ignore[attr-defined]


async def test_closed_bus_says_so(bus: Bus) -> None:
    await bus.close()
    with pytest.raises(BusError):
        await bus.publish("reading.rig-a", plan(1))


def test_submission_forms_cross_the_contract() -> None:
    submission = Submission(chain="farmnet", seal_hash="00", nonce=1, edges=(1,), worker="a/cpu:0")
    assert Submission.model_validate_json(submission.model_dump_json()) == submission
    assert SubmissionReply(outcome="stale").detail == ""


@pytest.mark.parametrize(
    ("pattern", "subject", "fits"),
    [
        ("event.>", "event.a.b", True),
        ("event.>", "event", False),
        ("reading.*", "reading.a", True),
        ("reading.*", "reading.a.b", False),
        ("node.work", "node.work.new", False),
    ],
)
def test_subject_patterns(pattern: str, subject: str, fits: bool) -> None:
    assert matches(pattern, subject) is fits
