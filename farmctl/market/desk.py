"""Where capacity is sold: offers, quotes and orders."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from farmctl.domain import Job
from farmctl.errors import BadRequest, Conflict, NotFound
from farmctl.jobs import JobQueue, NewJob
from farmctl.market.pricing import asking_price_micro
from farmctl.market.records import QUOTE_VALID_SECONDS, Offer, Quote
from farmctl.planner import Inventory, Market, PlannedDevice, economics
from farmctl.sections import MarketSection
from farmctl.store import Store, Transaction, inventory, market
from farmctl.store.jobs import JobRecord
from farmctl.training.run import trainer_kinds

TRAIN = "train"
#: Most steps one job may ask for.
STEP_LIMIT = 10_000_000
DEFAULT_STEPS = 400


@dataclass
class Desk:
    store: Store
    queue: JobQueue
    devices: Callable[[Transaction], Inventory]
    prices: Callable[[Transaction], Market]
    section: MarketSection
    clock: Callable[[], float] = time.time

    def offers(self, tx: Transaction) -> list[Offer]:
        """Every device that could train, with its price now."""
        prices, jobs = self.prices(tx), self._sold(tx)
        able = [d for d in self.devices(tx).devices if TRAIN in d.device.proved]
        return [self._offer(device, prices, jobs) for device in able]

    def _sold(self, tx: Transaction) -> Mapping[str, str]:
        return {j.device: j.id for j in self.prices(tx).jobs if j.device is not None}

    def _offer(self, planned: PlannedDevice, prices: Market, sold: Mapping[str, str]) -> Offer:
        device = planned.device
        floor = max(0, economics.mining_net_micro_per_hour(planned, prices) or 0)
        reason = f"{device.workload} gives way to it"
        if planned.offline:
            reason = "its rig is silent"
        elif device.health != "ok":
            reason = device.health_reason or device.health
        elif device.key in sold:
            reason = f"sold to job {sold[device.key]}"
        available = not planned.offline and device.health == "ok" and device.key not in sold
        return Offer(
            device=device.key,
            model=device.model,
            price_micro_per_hour=self._price(floor),
            floor_micro_per_hour=floor,
            available=available,
            reason=reason,
        )

    def _price(self, floor_micro_per_hour: int) -> int:
        section = self.section
        return asking_price_micro(
            floor_micro_per_hour, section.minimum_micro_per_hour, section.margin_percent
        )

    def quote(self, kind: str, parameters: Mapping[str, str], interruptible: bool) -> Quote:
        """A price that holds for a quarter of an hour. Where devices differ, that of the
        dearest, so that the job may run on any. Raises `BadRequest` for a job that this build
        cannot train and `Conflict` while no device could take it."""
        if kind not in trainer_kinds():
            raise BadRequest(
                f"there is no trainer {kind!r}; there are: {', '.join(trainer_kinds())}"
            )
        steps = _steps(parameters)
        with self.store.begin() as tx:
            offers = self.offers(tx)
            if not offers:
                raise Conflict("no device of this farm has proved that it can train")
            floor = max(offer.floor_micro_per_hour for offer in offers)
            factor = 100 if interruptible else 100 + self.section.contract_surcharge_percent
            quote = Quote(
                id=secrets.token_hex(8),
                kind=kind,
                parameters=dict(parameters),
                interruptible=interruptible,
                price_micro_per_hour=-(-self._price(floor) * factor // 100),
                floor_micro_per_hour=floor,
                estimated_device_seconds=steps / self._steps_per_second(tx),
                total_steps=steps,
                valid_until=self.clock() + QUOTE_VALID_SECONDS,
            )
            market.add_quote(tx, quote)
        return quote

    def _steps_per_second(self, tx: Transaction) -> float:
        """The slowest measured rate of training; the configured guess before the first job."""
        rates = [record.rates.get("steps_per_second") for record in inventory.devices(tx)]
        measured = [rate for rate in rates if rate]
        return min(measured) if measured else self.section.assumed_steps_per_second

    async def order(self, identity: str, name: str, customer: str, by: str) -> JobRecord:
        """Turn a quote into a job, once, in one transaction. Raises `NotFound` for an unknown
        quote, `Conflict` for one that ran out or was used."""
        with self.store.begin() as tx:
            found = market.find_quote(tx, identity)
        if found is None:
            raise NotFound(f"there is no quote {identity}; ask for one first")
        quote, _ = found
        if quote.valid_until < self.clock():
            raise Conflict("the quote has run out; ask for a new one")

        def accept(tx: Transaction, job: Job) -> None:
            if not market.accept_quote(tx, quote.id, job.id):
                raise Conflict("the quote has become a job already; ask for a new one")

        return await self.queue.submit(_job(quote, name, customer), by, accept)


def _job(quote: Quote, name: str, customer: str) -> NewJob:
    return NewJob(
        customer=customer,
        name=name,
        kind=quote.kind,
        parameters=quote.parameters,
        interruptible=quote.interruptible,
        price_micro_per_hour=quote.price_micro_per_hour,
        total_steps=quote.total_steps,
        quoted_total_micro=quote.estimated_total_micro,
    )


def _steps(parameters: Mapping[str, str]) -> int:
    try:
        steps = int(parameters.get("steps", str(DEFAULT_STEPS)))
    except ValueError:
        raise BadRequest("parameter steps must be a whole number") from None
    if not 1 <= steps <= STEP_LIMIT:
        raise BadRequest(f"parameter steps must be between 1 and {STEP_LIMIT}")
    return steps
