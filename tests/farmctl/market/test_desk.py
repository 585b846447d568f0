"""Offers, quotes and orders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farmctl.domain import Device, JobState, Workload
from farmctl.errors import BadRequest, Conflict, NotFound
from farmctl.jobs import JobQueue
from farmctl.market.desk import Desk
from farmctl.market.records import QUOTE_VALID_SECONDS
from farmctl.planner import Inventory, Market, PlannedDevice
from farmctl.sections import MarketSection
from farmctl.store import Store, Transaction, jobs


def device(index: int, proved: str = "train", health: str = "ok") -> Device:
    return Device(
        key=f"rig/cpu:{index}",
        rig="rig",
        id=f"cpu:{index}",
        hardware_id=f"h{index}",
        family="cpu",
        model="test",
        capabilities=frozenset({proved}),
        proved=frozenset({proved}),
        health=health,
        health_reason="",
        workload=Workload.MINE,
    )


class Bench:
    """A desk over a real store, with devices that mine at given rates."""

    def __init__(self, path: Path) -> None:
        self.now = 1_000.0
        self.store = Store(f"sqlite:///{path / 'farm.db'}")
        self.planned = [
            PlannedDevice(device(0), False, 0.0, graphs_per_second=42.0),
            PlannedDevice(device(1), False, 0.0, graphs_per_second=84.0),
            PlannedDevice(device(2, proved="cuckoo"), False, 0.0),
        ]
        queue = JobQueue(self.store, self._decide, lambda: self.now)
        self.desk = Desk(
            store=self.store,
            queue=queue,
            devices=lambda _: Inventory(tuple(self.planned)),
            prices=self._prices,
            section=MarketSection(margin_percent=20, minimum_micro_per_hour=1_000),
            clock=lambda: self.now,
        )

    async def _decide(self) -> None:
        return None

    def _prices(self, tx: Transaction) -> Market:
        """42 graphs/s find 3,600 blocks an hour of one coin at 1 micro each."""
        sold = tuple(record.job for record in jobs.open_jobs(tx))
        return Market(1, 1.0, 42.0, 0, sold)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_the_floor_of_an_offer_is_what_mining_would_earn(bench: Bench) -> None:
    with bench.store.begin() as tx:
        offers = bench.desk.offers(tx)
    assert [o.device for o in offers] == ["rig/cpu:0", "rig/cpu:1"]
    assert [o.floor_micro_per_hour for o in offers] == [3_600, 7_200]
    assert [o.price_micro_per_hour for o in offers] == [4_320, 8_640]
    assert all(o.available for o in offers)


def test_a_quote_covers_the_dearest_device_and_a_contract_costs_more(bench: Bench) -> None:
    flexible = bench.desk.quote("digits-cnn", {"steps": "100"}, interruptible=True)
    contract = bench.desk.quote("digits-cnn", {"steps": "100"}, interruptible=False)
    assert flexible.price_micro_per_hour == 8_640
    assert contract.price_micro_per_hour == 12_960
    assert flexible.estimated_device_seconds == pytest.approx(2.0)
    assert flexible.valid_until == bench.now + QUOTE_VALID_SECONDS


async def test_a_quote_becomes_one_job_at_its_price(bench: Bench) -> None:
    quote = bench.desk.quote("digits-cnn", {"steps": "100"}, interruptible=True)
    bench.planned[1] = PlannedDevice(device(1), False, 0.0, graphs_per_second=8_400.0)
    record = await bench.desk.order(quote.id, "digits", "ada", by="ada")
    assert record.job.price_micro_per_hour == quote.price_micro_per_hour
    assert record.job.state is JobState.QUEUED and record.job.total_steps == 100
    with pytest.raises(Conflict, match="already"):
        await bench.desk.order(quote.id, "digits", "ada", by="ada")
    with bench.store.begin() as tx:
        assert len(jobs.recent(tx, 10)) == 1


async def test_quotes_run_out(bench: Bench) -> None:
    quote = bench.desk.quote("digits-cnn", {}, interruptible=True)
    bench.now += QUOTE_VALID_SECONDS + 1
    with pytest.raises(Conflict, match="run out"):
        await bench.desk.order(quote.id, "digits", "ada", by="ada")
    with pytest.raises(NotFound, match="no quote"):
        await bench.desk.order("unknown", "digits", "ada", by="ada")


@pytest.mark.parametrize("steps", ["0", "-1", "many", "10000001"])
def test_senseless_steps_are_refused(bench: Bench, steps: str) -> None:
    with pytest.raises(BadRequest, match="steps"):
        bench.desk.quote("digits-cnn", {"steps": steps}, interruptible=True)


def test_an_unknown_trainer_is_refused_by_name(bench: Bench) -> None:
    with pytest.raises(BadRequest, match="digits-cnn"):
        bench.desk.quote("alchemy", {}, interruptible=True)


def test_nothing_is_quoted_without_a_device_that_trains(bench: Bench) -> None:
    bench.planned = [PlannedDevice(device(0, proved="cuckoo"), False, 0.0)]
    with pytest.raises(Conflict, match="no device"):
        bench.desk.quote("digits-cnn", {}, interruptible=True)


def test_what_is_sold_sick_or_silent_is_not_on_offer(bench: Bench) -> None:
    bench.planned = [
        PlannedDevice(device(0, health="lost"), False, 0.0),
        PlannedDevice(device(1), True, 0.0),
    ]
    with bench.store.begin() as tx:
        assert [(o.available, o.reason) for o in bench.desk.offers(tx)] == [
            (False, "lost"),
            (False, "its rig is silent"),
        ]
