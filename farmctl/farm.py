"""The controller's parts, put together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from farmctl import inventory, policy
from farmctl.alerts import Alerts
from farmctl.artifacts import Artifacts
from farmctl.browsers.rig import BrowserRig
from farmctl.bus import Bus
from farmctl.config import Config
from farmctl.domain import Event, Plan
from farmctl.economy import Economy
from farmctl.executor import Executor
from farmctl.inference.messages import InferenceStatus
from farmctl.jobs import JobQueue
from farmctl.live import Live
from farmctl.market.desk import Desk
from farmctl.messages import Message, NodeStatus
from farmctl.node_client import NodeClient
from farmctl.reports import Effect, Reports
from farmctl.store import Store, audit, events, jobs, market, plans
from farmctl.store.events import EventRecord
from farmctl.store.policy import Switch, prune_switches
from farmctl.synapse.messages import SynapseStatus
from farmctl.telemetry import Telemetry
from farmctl.views import Views

#: A process whose last status is older than this is taken to be down.
SILENT_SECONDS = 5.0
DAY_SECONDS = 86_400.0
KEEP_DAYS = 90.0
#: The stream keeps events for 7 days; after these no repetition can come.
SEEN_DAYS = 30.0
#: A file that no job refers to may be about to be: it is left for so long.
ARTIFACT_DAYS = 1.0


S = TypeVar("S", bound=Message)


class Told(Generic[S]):
    """What a process of the farm tells of itself each second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: tuple[float, S] | None = None

    def __call__(self) -> S | None:
        """The newest; None while it is silent."""
        if self._last is None:
            return None
        received, status = self._last
        return status if self._clock() - received <= SILENT_SECONDS else None

    async def receive(self, _: str, status: S) -> None:
        self._last = (self._clock(), status)


class Farm:
    """Everything the controller holds; `farmctl.controller` runs it, the API shows it."""

    def __init__(
        self, config: Config, store: Store, bus: Bus, clock: Callable[[], float] = time.time
    ) -> None:
        self.config, self.store, self.bus, self.clock = config, store, bus, clock
        self.live = Live()
        self.node = NodeClient(config.node_url)
        self.node_status = Told[NodeStatus](clock)
        self.inference = Told[InferenceStatus](clock)
        self.synapse = Told[SynapseStatus](clock)
        self._dirty = True
        self.telemetry = Telemetry(store, clock)
        self.keeper = inventory.InventoryKeeper(store, self.telemetry, self.mark_dirty, clock)
        self.economy = Economy(config, self.node_status)
        self.requests = policy.Requests(store, config.planner, self.decide, clock)
        self.executor = Executor(
            store=store,
            bus=bus,
            keeper=self.keeper,
            market=self.economy.market,
            rules=self.requests.rules,
            settled=self._tell_switch,
            clock=clock,
        )
        self.queue = JobQueue(store, self.decide, clock)
        self.desk = Desk(
            store=store,
            queue=self.queue,
            devices=self.keeper.view,
            prices=self.economy.market,
            section=config.market,
            clock=clock,
        )
        self.reports = Reports(store, self._tell_effect, clock=clock)
        self.artifacts = Artifacts(config.home / "artifacts", config.store.artifact_bytes)
        self.alerts = Alerts(store, self.keeper, self.node_status, self.tell_event, clock)
        self.views = Views(self)
        self.browsers = BrowserRig(bus, config.home / "browsers")

    def mark_dirty(self) -> None:
        """Ask for a look at the plan soon; several such wishes make one look."""
        self._dirty = True

    async def decide(self) -> Plan | None:
        self._dirty = False
        return await self.executor.decide()

    async def decide_if_dirty(self) -> None:
        if self._dirty:
            await self.decide()

    def tell_event(self, record: EventRecord) -> None:
        self.live.tell("event", self.views.event(record))

    def tell(self, kind: str, subject: str, text: str, level: str = "info") -> None:
        """Store an event and show it."""
        with self.store.begin() as tx:
            record = events.add(tx, Event(self.clock(), kind, subject, text, level))
        self.tell_event(record)

    def _tell_switch(self, switch: Switch) -> None:
        self.live.tell("switch", self.views.switch(switch))

    def _tell_effect(self, effect: Effect) -> None:
        if effect.event is not None:
            self.tell_event(effect.event)
        if effect.switch is not None:
            self._tell_switch(effect.switch)
        if effect.job is not None:
            with self.store.begin() as tx:
                self.live.tell("job", self.views.job(tx, effect.job))
        if effect.replan:
            self.mark_dirty()

    async def check_audit(self) -> None:
        """Tell of an audit log that was altered behind the farm's back."""
        broken = await asyncio.to_thread(self._first_broken)
        if broken is not None:
            text = f"entry {broken} does not follow from the one before: the log was altered"
            self.tell("audit", "audit log", text, "error")

    def _first_broken(self) -> int | None:
        with self.store.begin() as tx:
            return audit.first_broken(tx)

    def prune(self) -> None:
        """Forget what is old, so that the store stays bounded."""
        kept, now = self.config.store, self.clock()
        before = now - KEEP_DAYS * DAY_SECONDS
        self.telemetry.prune(
            kept.raw_reading_hours, kept.minute_reading_days, kept.hour_reading_days
        )
        with self.store.begin() as tx:
            events.prune(tx, before, now - SEEN_DAYS * DAY_SECONDS)
            plans.prune(tx, before)
            prune_switches(tx, before)
            market.prune_quotes(tx, before)
            jobs.prune(tx, now - kept.job_days * DAY_SECONDS)
            used = jobs.artifacts(tx)
        self.artifacts.remove(used, now - ARTIFACT_DAYS * DAY_SECONDS)
