"""The ledger: transfers between accounts, posted once and never changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select

from farmctl.errors import StoreError
from farmctl.market.records import Transfer
from farmctl.store.engine import Transaction
from farmctl.store.schema import TransferRow


@dataclass(frozen=True)
class PostedTransfer:
    id: int
    time: float
    transfer: Transfer


def post(tx: Transaction, transfer: Transfer, now: float) -> bool:
    """Post once: False if it stands already. Raises `StoreError` if another transfer stands
    under the same key and leg: two causes must never share one."""
    query = select(TransferRow).where(
        TransferRow.key == transfer.key, TransferRow.leg == transfer.leg
    )
    standing = tx.scalars(query).first()
    if standing is None:
        tx.add(TransferRow(time=now, **vars(transfer)))
        tx.flush()
        return True
    if _transfer(standing) != transfer:
        raise StoreError(f"the ledger holds another transfer under {transfer.key}")
    return False


def recent(tx: Transaction, limit: int, before: int | None = None) -> list[PostedTransfer]:
    """Newest first."""
    query = select(TransferRow).order_by(TransferRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(TransferRow.id < before)
    return [PostedTransfer(row.id, row.time, _transfer(row)) for row in tx.scalars(query)]


def times(tx: Transaction, keys: Collection[str]) -> dict[str, float]:
    """When each of these was posted; one that was not is left out."""
    query = select(TransferRow.key, TransferRow.time).where(TransferRow.key.in_(keys))
    return {key: time for key, time in tx.execute(query)}


def balances(tx: Transaction) -> dict[str, int]:
    """By account, in micro-units; debits are positive. They sum to nothing."""
    found: dict[str, int] = {}
    for column, sign in ((TransferRow.debit, 1), (TransferRow.credit, -1)):
        query = select(column, func.sum(TransferRow.amount_micro)).group_by(column)
        for account, amount in tx.execute(query):
            found[account] = found.get(account, 0) + sign * int(amount)
    return found


def _transfer(row: TransferRow) -> Transfer:
    return Transfer(row.key, row.debit, row.credit, row.amount_micro, row.text, row.leg)
