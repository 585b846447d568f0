"""Invoices and the ledger: one each, always balanced, whatever happens in between."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmctl.domain import Job, JobState
from farmctl.errors import NotFound, Refused, StoreError
from farmctl.market import settlement
from farmctl.market.records import Transfer
from farmctl.store import Store, ledger, market
from farmctl.store.jobs import JobRecord

JOB = Job(
    id="j1",
    customer="ada",
    name="digits",
    kind="digits-cnn",
    parameters={},
    state=JobState.DONE,
    interruptible=True,
    price_micro_per_hour=600_000,
    created=1.0,
    total_steps=10,
    steps_done=10,
    device_seconds=36.0,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'farm.db'}")
    yield opened
    opened.close()


def record(**changes: object) -> JobRecord:
    return JobRecord(replace(JOB, **changes), 0, 0, None, {}, 0)  # type: ignore[arg-type]


def test_a_finished_job_is_invoiced_once_with_its_posting(store: Store) -> None:
    with store.begin() as tx:
        first = settlement.settle(tx, record(), 5.0)
        again = settlement.settle(tx, record(), 6.0)
        balances = ledger.balances(tx)
    assert first is not None and first.total_micro == 6_000 and again is None
    assert balances == {"receivable:ada": 6_000, settlement.REVENUE: -6_000}


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.RUNNING, JobState.PREEMPTED])
def test_only_jobs_that_ended_well_are_charged(store: Store, state: JobState) -> None:
    with store.begin() as tx:
        assert settlement.settle(tx, record(state=state), 5.0) is None
        assert ledger.balances(tx) == {}


def test_payment_clears_the_receivable_and_is_taken_once(store: Store) -> None:
    with store.begin() as tx:
        settlement.settle(tx, record(), 5.0)
        settlement.pay(tx, "INV-j1", 7.0)
        assert ledger.balances(tx)["receivable:ada"] == 0
    with pytest.raises(Refused, match="already"), store.begin() as tx:
        settlement.pay(tx, "INV-j1", 8.0)
    with pytest.raises(NotFound, match="no invoice"), store.begin() as tx:
        settlement.pay(tx, "INV-none", 8.0)


def test_a_key_cannot_stand_for_two_causes(store: Store) -> None:
    transfer = Transfer("k", "a", "b", 5, "")
    with store.begin() as tx:
        assert ledger.post(tx, transfer, 1.0) and not ledger.post(tx, transfer, 2.0)
    with pytest.raises(StoreError, match="another transfer"), store.begin() as tx:
        ledger.post(tx, replace(transfer, amount_micro=6), 3.0)


@pytest.mark.parametrize(
    "wrong",
    [
        Transfer("k", "a", "a", 5, ""),
        Transfer("k", "a", "b", 0, ""),
        Transfer("k", "a", "b", -1, ""),
    ],
)
def test_the_database_itself_refuses_what_does_not_balance(store: Store, wrong: Transfer) -> None:
    with pytest.raises(StoreError, match="nothing was changed"), store.begin() as tx:
        ledger.post(tx, wrong, 1.0)


class CrashError(Exception):
    pass


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "farm.db"
    Store(f"sqlite:///{path}").close()
    return path


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["settle", "pay"]), st.integers(0, 3), st.booleans()), max_size=12
    )
)
def test_repeats_and_crashes_neither_lose_nor_double_money(
    empty_database: Path, acts: list[tuple[str, int, bool]]
) -> None:
    path = empty_database.with_name("copy.db")
    for stale in path.parent.glob("copy.db*"):
        stale.unlink()
    shutil.copy(empty_database, path)
    store = Store(f"sqlite:///{path}")
    settled, paid = set(), set()
    for act, index, crash in acts:
        ended = record(id=f"j{index}", device_seconds=10.0 + index)
        try:
            with store.begin() as tx:
                if act == "settle":
                    settlement.settle(tx, ended, 1.0)
                else:
                    settlement.pay(tx, f"INV-j{index}", 1.0)
                if crash:
                    raise CrashError
            (settled if act == "settle" else paid).add(index)
        except (CrashError, NotFound, Refused):
            pass
    with store.begin() as tx:
        invoices = market.recent_invoices(tx, 100)
        balances = ledger.balances(tx)
        posted = ledger.recent(tx, 100)
    store.close()
    assert {invoice.job for invoice in invoices} == {f"j{index}" for index in settled}
    assert sum(balances.values()) == 0
    assert len(posted) == len(settled) + len(paid)
    assert balances.get(settlement.CASH, 0) == sum(
        invoice.total_micro for invoice in invoices if int(invoice.job[1:]) in paid
    )
