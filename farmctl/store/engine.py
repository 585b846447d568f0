"""Opening the database: settings, migrations, transactions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import alembic.util
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from farmctl.errors import StoreError

Transaction = Session
MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MILLISECONDS = 10_000


class Store:
    """The database at an SQLAlchemy URL, brought up to date by its migrations."""

    def __init__(self, url: str) -> None:
        self._engine = _open(url)
        self._migrate()

    @contextlib.contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction that commits at the end and rolls back on any error. Keep it short:
        no network call inside. Raises `StoreError` when the database fails."""
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise StoreError(f"the database failed, nothing was changed: {cause}") from error

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self) -> None:
        settings = alembic.config.Config()
        settings.set_main_option("script_location", str(MIGRATIONS))
        try:
            with self._engine.begin() as connection:
                settings.attributes["connection"] = connection
                alembic.command.upgrade(settings, "head")
        except (SQLAlchemyError, alembic.util.CommandError) as error:
            raise StoreError(f"cannot migrate the database: {error}") from error


def _open(url: str) -> Engine:
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if url.startswith("sqlite"):
        if path := engine.url.database:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Write-ahead log, each commit synced: a commit survives the loss of power."""
    connection.isolation_level = None
    for setting in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MILLISECONDS}",
    ):
        connection.execute(f"PRAGMA {setting}")


def _begin_immediate(connection: Any) -> None:
    """Take the write lock at once: a transaction never fails for having read first."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
