"""The rig of browsers: to the rest of the farm an agent like any other, within the controller.

It exists while a browser is connected. A browser's number follows from what it drew for itself
once, so that it comes back under the same name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Coroutine
from pathlib import Path

from farmctl import __version__
from farmctl.agent.link import BusLink
from farmctl.browsers.checks import SmallModels
from farmctl.browsers.lent import LentBrowser, Send
from farmctl.browsers.messages import Hello
from farmctl.browsers.post import BrowserPost
from farmctl.browsers.work import Offer
from farmctl.bus import Bus, Subscription
from farmctl.domain import LENT_RIG
from farmctl.errors import BusError, Conflict, NotFound, Unavailable
from farmctl.inference.messages import InferRequest
from farmctl.messages import (
    DeviceAck,
    FamilyReport,
    FaultEvent,
    InventoryReport,
    JobProgress,
    Message,
    ReadingBatch,
    RigEvent,
    RigPlan,
    ShareEvent,
    Work,
)
from farmctl.workloads.base import Place

log = logging.getLogger(__name__)
BROWSERS_LIMIT = 64
NUMBERS = 100_000
TICK_SECONDS = 1.0
REPORT_SECONDS = 10.0
POLL_SECONDS = 3.0
#: Events that wait for the bus; further ones are lost, and logged.
EVENTS_LIMIT = 1000
#: How long the last one's leaving may take for its events to be told.
SETTLE_SECONDS = 5.0
SITE = "browsers"


class BrowserRig:
    """Keeps the browsers that are connected. ``folder`` is only named to their work."""

    def __init__(self, bus: Bus, folder: Path) -> None:
        self._bus, self._folder = bus, folder
        self._posts: dict[str, BrowserPost] = {}
        self._offer = Offer()
        self._models = SmallModels()
        self._plan: RigPlan | None = None
        self._events: asyncio.Queue[RigEvent] = asyncio.Queue(EVENTS_LIMIT)
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._checking = False
        self._reported = 0.0
        self._boot_id = uuid.uuid4().hex

    @property
    def posts(self) -> tuple[BrowserPost, ...]:
        return tuple(self._posts.values())

    async def admit(self, hello: Hello, send: Send) -> BrowserPost:
        """Raises `Conflict` for a browser that is here already, `Unavailable` for one too many,
        `BusError`."""
        if any(p.browser.hello.hardware_id == hello.hardware_id for p in self.posts):
            raise Conflict("this browser lends already, in another tab or window")
        if len(self._posts) >= BROWSERS_LIMIT:
            raise Unavailable(f"{BROWSERS_LIMIT} browsers lend already, and the farm takes no more")
        browser = LentBrowser(self._free_id(hello), hello, send)
        post = BrowserPost(browser, self._place(browser.id), self._bus, self._offer, self._tell)
        self._posts[browser.id] = post
        if not self._tasks:
            await self._begin()
        self._apply_plan()
        return post

    async def leave(self, post: BrowserPost) -> None:
        post.stop()
        post.browser.lose()
        del self._posts[post.browser.id]
        try:
            await self._publish_inventory()
        except BusError as error:
            log.info("not reported: %s", error)
        if not self._posts:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._events.join(), SETTLE_SECONDS)
        if not self._posts:  # None came meanwhile.
            await self.close()

    async def close(self) -> None:
        """End what goes on beside the browsers' connections."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            await subscription.stop()

    async def _begin(self) -> None:
        news = await self._bus.subscribe("node.work.new", Work, self._hear_work)
        asked = await self._bus.subscribe("infer.run.>", InferRequest, self._hear_request)
        self._subscriptions = [news, asked]
        for part in (self._watch_plans(), self._report(), self._poll(), self._send_events()):
            self._spawn(part)

    def _free_id(self, hello: Hello) -> str:
        number = int(hello.hardware_id.replace("-", "")[:12] or "0", 16) % NUMBERS
        while f"browser:{number}" in self._posts:
            number = (number + 1) % NUMBERS
        return f"browser:{number}"

    def _place(self, device_id: str) -> Place:
        async def connect() -> Bus:
            return self._bus

        return Place(
            rig=LENT_RIG,
            device_id=device_id,
            run_id=uuid.uuid4().hex,
            folder=self._folder,
            link=BusLink(connect),
            emit=lambda event: self._emit(device_id, event),
        )

    def _emit(self, device_id: str, event: ShareEvent | JobProgress | FaultEvent) -> None:
        post = self._posts.get(device_id)
        if isinstance(event, ShareEvent) and post is not None:
            post.take_share(event)

    async def _watch_plans(self) -> None:
        while True:
            try:
                async for plan in self._bus.watch("plans", LENT_RIG, RigPlan):
                    if self._plan is None or plan.number >= self._plan.number:
                        self._plan = plan
                        self._apply_plan()
            except BusError as error:
                log.info("plans cannot be watched: %s", error)
            await asyncio.sleep(TICK_SECONDS)

    def _apply_plan(self) -> None:
        plan = self._plan
        for one in plan.assignments if plan else ():
            if plan and (post := self._posts.get(one.device)) is not None:
                post.assign(one, plan.number)

    async def _report(self) -> None:
        while True:
            try:
                await self._publish_readings()
                late = time.monotonic() - self._reported >= REPORT_SECONDS
                if late or any(post.changed for post in self.posts):
                    await self._publish_inventory()
            except BusError as error:
                log.info("not reported: %s", error)
            await asyncio.gather(*(post.browser.send(post.standing()) for post in self.posts))
            await asyncio.sleep(TICK_SECONDS)

    async def _publish_readings(self) -> None:
        batch = ReadingBatch(rig=LENT_RIG, readings=tuple(post.reading() for post in self.posts))
        await self._bus.publish(f"reading.{LENT_RIG}", batch)

    async def _publish_inventory(self) -> None:
        for post in self.posts:
            post.changed = False
        report = InventoryReport(
            rig=LENT_RIG,
            site=SITE,
            boot_id=self._boot_id,
            at=time.time(),
            agent_version=__version__,
            plan_number=self._plan.number if self._plan else 0,
            families=(FamilyReport(family="browser", status="pass"),),
            devices=tuple(post.report() for post in self.posts),
        )
        await self._bus.publish(f"inventory.{LENT_RIG}", report)
        self._reported = time.monotonic()

    async def _poll(self) -> None:
        """In case an announcement was lost."""
        while True:
            try:
                await self._offer.take(await self._bus.request("node.work", Message(), Work))
            except BusError as error:
                log.info("no work from the node: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def _hear_work(self, _subject: str, work: Work) -> None:
        await self._offer.take(work)

    async def _hear_request(self, _subject: str, request: InferRequest) -> None:
        """One check at a time; a request that comes meanwhile is not checked here."""
        if self._checking or (post := self._free_checker()) is None:
            return
        self._checking = True
        self._spawn(self._check(post, request))

    def _free_checker(self) -> BrowserPost | None:
        free = [post for post in self.posts if post.may_check]
        return min(free, key=lambda post: post.answers_right, default=None)

    async def _check(self, post: BrowserPost, request: InferRequest) -> None:
        try:
            model = await self._models.find(self._bus, request.model)
            if model is not None:
                await post.check(model, request)
        except (BusError, NotFound) as error:
            log.info("no check of model %s: %s", request.model, error)
        finally:
            self._checking = False

    def _tell(self, body: DeviceAck | ShareEvent | FaultEvent) -> None:
        event = RigEvent(id=uuid.uuid4().hex, rig=LENT_RIG, at=time.time(), body=body)
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            log.error("an event is lost: %s", body)

    async def _send_events(self) -> None:
        while True:
            event = await self._events.get()
            while not await self._sent(event):
                await asyncio.sleep(TICK_SECONDS)
            self._events.task_done()

    async def _sent(self, event: RigEvent) -> bool:
        try:
            await self._bus.append(f"event.{LENT_RIG}", event, event.id)
        except BusError as error:
            log.info("an event waits for the bus: %s", error)
            return False
        return True

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
