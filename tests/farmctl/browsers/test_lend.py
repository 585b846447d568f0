"""Browsers as devices, over a real WebSocket; this test answers in the place of a browser, by the
farm's own processor."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ctypes import byref, c_int32, c_size_t, c_uint32, c_uint64
from typing import Any

import pytest
import websockets
from websockets.typing import Origin

from drivers import selftest
from drivers.cpu import library
from drivers.cpu.cuckoo import Solver
from farmctl.config import Config
from farmctl.domain import LENT_RIG, Device
from farmctl.farm import Farm
from farmctl.messages import Message, Submission, SubmissionReply, Work
from farmctl.store import events, inventory, tokens
from tests.farmctl.api.test_stream import serving
from tests.farmctl.farms import running_farm

IDENTITY = "0123456789abcdef0123456789abcdef"
SECONDS = 20


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made, serving(made):
        yield made


class StandIn:
    """Speaks as a browser's page does."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"kind": kind, **fields}))

    async def hear(self, *kinds: str) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["kind"] in kinds:
                    return message

    async def greet(self, identity: str = IDENTITY) -> None:
        await self.say("hello", hardware_id=identity, model="Chrome 140 on Android", cores=4)

    async def pass_tests(self) -> None:
        search = await self.hear("search")
        assert len(search["keys"]) == selftest.CUCKOO_GRAPHS
        answer = selftest.CUCKOO_ANSWER
        await self.say("found", id=search["id"], graph=answer.nonce, edges=answer.edges)
        await self.say("searched", id=search["id"], graphs=selftest.CUCKOO_GRAPHS)
        await self.answer(await self.hear("infer"), selftest.INFER_ANSWER)

    async def answer(self, asked: dict[str, Any], words: tuple[int, ...]) -> None:
        output = b"".join(word.to_bytes(4, "little", signed=True) for word in words)
        text = urlsafe_b64encode(output).decode()
        await self.say("inferred", id=asked["id"], output=text)


@asynccontextmanager
async def connected(
    farm: Farm, origin: str | None = None, secret: str = ""
) -> AsyncIterator[StandIn]:
    headers = {"Authorization": f"Bearer {secret or farm.config.admin_token.read_text()}"}
    url = farm.config.api_url.replace("http", "ws", 1) + "/v1/lend"
    async with websockets.connect(
        url, additional_headers=headers, origin=Origin(origin) if origin else None
    ) as socket:
        yield StandIn(socket)


@asynccontextmanager
async def mining(farm: Farm) -> AsyncIterator[StandIn]:
    """One that has passed its tests and is to mine."""
    await farm.bus.serve("node.work", Message, easy_work)
    async with connected(farm) as browser:
        await browser.greet()
        await browser.pass_tests()
        await plan_mining(farm)
        yield browser


async def test_known_answers_make_it_a_proved_device(farm: Farm) -> None:
    async with connected(farm) as browser:
        await browser.greet()
        await browser.pass_tests()
        standing = await browser.hear("standing")
        while not standing["proved"]:
            standing = await browser.hear("standing")


async def test_a_wrong_known_answer_is_refused_with_its_reason(farm: Farm) -> None:
    async with connected(farm) as browser:
        await browser.greet()
        search = await browser.hear("search")
        await browser.say("searched", id=search["id"], graphs=selftest.CUCKOO_GRAPHS)
        wrong = (selftest.INFER_ANSWER[0] + 1, *selftest.INFER_ANSWER[1:])
        await browser.answer(await browser.hear("infer"), wrong)
        standing = await browser.hear("standing")
        while not standing["detail"].startswith("refused"):
            standing = await browser.hear("standing")
        assert not standing["proved"]
        [post] = farm.browsers.posts
        assert [test.passed for test in post.browser.tests] == [False, False]


async def test_a_wrong_cycle_ends_the_loan_and_nothing_is_sent(farm: Farm) -> None:
    submitted: list[Submission] = []

    async def judge(submission: Submission) -> SubmissionReply:
        submitted.append(submission)
        return SubmissionReply(outcome="accepted")

    await farm.bus.serve("node.submit", Submission, judge)
    async with mining(farm) as browser:
        search = await browser.hear("search")
        await browser.say("found", id=search["id"], graph=0, edges=list(range(42)))
        refused = await browser.hear("refused")
        assert "wrong" in refused["reason"]
    assert submitted == []


async def test_a_right_cycle_is_verified_and_sent(farm: Farm) -> None:
    submitted: asyncio.Queue[Submission] = asyncio.Queue()

    async def judge(submission: Submission) -> SubmissionReply:
        submitted.put_nowait(submission)
        return SubmissionReply(outcome="accepted")

    await farm.bus.serve("node.submit", Submission, judge)
    async with mining(farm) as browser:
        solver = Solver(16, 1 << 28)
        while submitted.empty():
            search = await browser.hear("search")
            for number, keys in enumerate(search["keys"]):
                for edges in solve(solver, keys):
                    await browser.say("found", id=search["id"], graph=number, edges=edges)
            graphs = len(search["keys"])
            await browser.say("searched", id=search["id"], graphs=graphs)
            await asyncio.sleep(0.2)  # The farm verifies in a thread of its own.
        sent = submitted.get_nowait()
        assert sent.worker == f"{LENT_RIG}/{farm.browsers.posts[0].browser.id}"
        solver.close()


async def test_a_browser_that_leaves_is_no_device_any_more(farm: Farm) -> None:
    async with connected(farm) as browser:
        await browser.greet()
        await browser.hear("standing")
        assert [d.family for d in devices(farm)] == ["browser"]
    async with asyncio.timeout(SECONDS):
        while devices(farm):
            await asyncio.sleep(0.02)
    assert farm.browsers.posts == ()


@pytest.mark.parametrize("kind", ["second greeting", "unasked graph", "no JSON", "early answer"])
async def test_what_does_not_fit_ends_the_connection(farm: Farm, kind: str) -> None:
    async with connected(farm) as browser:
        if kind == "early answer":
            await browser.say("searched", id=1, graphs=1)
        else:
            await browser.greet()
            search = await browser.hear("search")
        if kind == "second greeting":
            await browser.greet()
        elif kind == "unasked graph":
            await browser.say("found", id=search["id"], graph=1000, edges=[1])
        elif kind == "no JSON":
            await browser.socket.send("{")
        assert (await browser.hear("refused"))["reason"]
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await browser.hear("nothing more")


async def test_a_second_tab_and_a_foreign_page_are_refused(farm: Farm) -> None:
    async with connected(farm) as first, connected(farm) as second:
        await first.greet()
        await first.hear("search")
        await second.greet()
        assert "another tab" in (await second.hear("refused"))["reason"]
    async with connected(farm, origin="https://elsewhere.example") as foreign:
        assert "another site" in (await foreign.hear("refused"))["reason"]


async def test_a_token_needs_the_scope(farm: Farm) -> None:
    for scope, refused in (("read", True), ("lend", False)):
        with farm.store.begin() as tx:
            _, secret = tokens.create(tx, scope, frozenset({scope}), farm.clock())
        async with connected(farm, secret=secret) as browser:
            if not refused:
                await browser.greet()
            assert await browser.hear("refused" if refused else "search")


def devices(farm: Farm) -> list[Device]:
    with farm.store.begin() as tx:
        return [one.device for one in inventory.devices(tx)]


async def plan_mining(farm: Farm) -> None:
    async with asyncio.timeout(SECONDS):
        while not any("cuckoo" in device.proved for device in devices(farm)):
            await asyncio.sleep(0.05)
    await farm.decide()


async def easy_work(_: Message) -> Work:
    return Work(
        chain="farmnet",
        seal_hash=bytes(32).hex(),
        target="ff" * 32,
        height=1,
        edge_bits=16,
        compression_rounds=4,
        finalisation_rounds=8,
    )


def solve(solver: Solver, keys: str) -> list[list[int]]:
    """As the core in a browser does: by the keys alone."""
    words = (c_uint64 * 4).from_buffer_copy(bytes.fromhex(keys))
    graph = library.Graph(words, 16, 4, 8, 42, 0)
    cycles, found = (c_uint32 * (256 * 42))(), c_size_t()
    status = library.load().farmcpu_solve(
        solver._handle, byref(graph), byref(c_int32()), cycles, 256, byref(found)
    )
    assert status == library.Status.OK
    return [list(cycles[42 * n : 42 * n + 42]) for n in range(found.value)]


async def test_what_the_last_browser_did_wrong_is_still_told(farm: Farm) -> None:
    async with mining(farm) as browser:
        search = await browser.hear("search")
        await browser.say("found", id=search["id"], graph=0, edges=list(range(42)))
        await browser.hear("refused")
    async with asyncio.timeout(SECONDS):
        while "wrong_answer" not in faults(farm):
            await asyncio.sleep(0.05)


async def test_it_is_a_device_again_after_it_came_back(farm: Farm) -> None:
    names = []
    for _ in range(3):
        async with connected(farm) as browser:
            await browser.greet()
            await browser.pass_tests()
            names.append((await browser.hear("standing"))["device"])
        async with asyncio.timeout(SECONDS):
            while farm.browsers.posts:
                await asyncio.sleep(0.02)
    assert len(set(names)) == 1


def faults(farm: Farm) -> str:
    with farm.store.begin() as tx:
        return " ".join(one.event.text for one in events.recent(tx, 50))
