from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from farmctl.domain import Event
from farmctl.errors import StoreError
from farmctl.store import Store, audit, events, readings, tokens
from farmctl.store.readings import HOUR, MINUTE, RAW, Sample
from farmctl.store.schema import Table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "farm.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{path}")
    yield made
    made.close()


def test_migrations_make_the_tables_that_the_code_names(store: Store, path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_opening_again_keeps_everything(store: Store, path: Path) -> None:
    with store.begin() as tx:
        events.add(tx, Event(1.0, "test", "x", "kept"))
    again = Store(f"sqlite:///{path}")
    with again.begin() as tx:
        assert [record.event.text for record in events.recent(tx, 10)] == ["kept"]
    again.close()


def test_failed_transaction_changes_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.begin() as tx:
        events.add(tx, Event(1.0, "test", "x", "lost"))
        _ = 1 / 0
    with store.begin() as tx:
        assert events.recent(tx, 10) == []


def test_commit_is_synced_to_the_disk(store: Store) -> None:
    with store.begin() as tx:
        connection = tx.connection()
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    path.write_text("this is not a database, and it is long enough to be looked at")
    with pytest.raises(StoreError, match="migrate"):
        Store(f"sqlite:///{path}")


def test_full_disk_is_a_clear_error_and_keeps_what_was(store: Store) -> None:
    with store.begin() as tx:
        events.add(tx, Event(1.0, "test", "x", "kept"))
    with pytest.raises(StoreError, match="full"), store.begin() as tx:
        connection = tx.connection()
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        events.add(tx, Event(2.0, "test", "x", "y" * 10_000_000))
    with store.begin() as tx:
        assert [record.event.text for record in events.recent(tx, 10)] == ["kept"]


def test_changed_or_missing_audit_entry_shows(store: Store, path: Path) -> None:
    with store.begin() as tx:
        for number in range(5):
            audit.append(tx, float(number), "ann", "switch", "cpu:0", str(number))
        assert audit.first_broken(tx) is None
    _meddle(path, "UPDATE audit SET actor = 'bob' WHERE id = 3")
    with store.begin() as tx:
        assert audit.first_broken(tx) == 3
    _meddle(path, "UPDATE audit SET actor = 'ann' WHERE id = 3")
    _meddle(path, "DELETE FROM audit WHERE id = 4")
    with store.begin() as tx:
        assert audit.first_broken(tx) == 5


def _meddle(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_readings_roll_up_once_and_are_bounded(store: Store) -> None:
    start = 7200.0
    samples = [Sample("d", start + s, {"power_watts": float(s % 60)}) for s in range(180)]
    with store.begin() as tx:
        readings.add(tx, samples)
        for _ in range(2):
            readings.roll_up(tx, MINUTE, start + 185)
            readings.roll_up(tx, HOUR, start + 3600)
        readings.prune(tx, RAW, start + 120)
        raw = readings.series(tx, "d", "power_watts", start, start + 180)
        minutes = readings.series(tx, "d", "power_watts", start, start + 3 * 3600)
        hours = readings.series(tx, "d", "power_watts", 0.0, 100 * 86_400.0)
    assert len(raw.points) == 60
    assert (minutes.step_seconds, minutes.points) == (
        MINUTE,
        [(start + 60 * m, 29.5) for m in range(3)],
    )
    assert (hours.step_seconds, hours.points) == (HOUR, [(start, 29.5)])


def test_code_works_once_for_its_purpose_and_in_time(store: Store) -> None:
    with store.begin() as tx:
        code = tokens.create_code(tx, "login", "admin", expires=10.0)
        late = tokens.create_code(tx, "login", "admin", expires=10.0)
        assert tokens.use_code(tx, "enrol", code, 5.0) is None
        assert tokens.use_code(tx, "login", code, 5.0) == "admin"
        assert tokens.use_code(tx, "login", code, 5.0) is None
        assert tokens.use_code(tx, "login", late, 11.0) is None
