"""Quotes and invoices."""

from __future__ import annotations

from sqlalchemy import delete, or_, select

from farmctl.market.records import Invoice, Quote
from farmctl.store.engine import Transaction
from farmctl.store.schema import InvoiceRow, QuoteRow


def add_quote(tx: Transaction, quote: Quote) -> None:
    tx.add(QuoteRow(**vars(quote) | {"parameters": dict(quote.parameters)}))


def find_quote(tx: Transaction, identity: str) -> tuple[Quote, str | None] | None:
    """A quote, and the job it became."""
    row = tx.get(QuoteRow, identity)
    if row is None:
        return None
    quote = Quote(
        id=row.id,
        kind=row.kind,
        parameters=row.parameters,
        interruptible=row.interruptible,
        price_micro_per_hour=row.price_micro_per_hour,
        floor_micro_per_hour=row.floor_micro_per_hour,
        estimated_device_seconds=row.estimated_device_seconds,
        total_steps=row.total_steps,
        valid_until=row.valid_until,
    )
    return quote, row.job


def accept_quote(tx: Transaction, identity: str, job: str) -> bool:
    """The quote becomes this job; False if it became one already."""
    row = tx.get(QuoteRow, identity)
    if row is None or row.job is not None:
        return False
    row.job = job
    return True


def prune_quotes(tx: Transaction, before: float) -> None:
    """Forget quotes that ran out unused."""
    tx.execute(delete(QuoteRow).where(QuoteRow.valid_until < before, QuoteRow.job.is_(None)))


def add_invoice(tx: Transaction, invoice: Invoice) -> None:
    tx.add(InvoiceRow(**vars(invoice)))
    tx.flush()


def find_invoice(tx: Transaction, identity: str) -> Invoice | None:
    row = tx.get(InvoiceRow, identity)
    return None if row is None else _invoice(row)


def invoice_of(tx: Transaction, job: str) -> Invoice | None:
    row = tx.scalars(select(InvoiceRow).where(InvoiceRow.job == job)).first()
    return None if row is None else _invoice(row)


def recent_invoices(tx: Transaction, limit: int, before: str | None = None) -> list[Invoice]:
    """Newest first, from the one that follows ``before``; none follows an unknown one."""
    query = select(InvoiceRow).order_by(InvoiceRow.issued.desc(), InvoiceRow.id).limit(limit)
    if before is not None:
        issued = select(InvoiceRow.issued).where(InvoiceRow.id == before).scalar_subquery()
        same_time = (InvoiceRow.issued == issued) & (InvoiceRow.id > before)
        query = query.where(or_(InvoiceRow.issued < issued, same_time))
    return [_invoice(row) for row in tx.scalars(query)]


def _invoice(row: InvoiceRow) -> Invoice:
    return Invoice(
        row.id,
        row.job,
        row.customer,
        row.device_seconds,
        row.price_micro_per_hour,
        row.total_micro,
        row.issued,
    )
