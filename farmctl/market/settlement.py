"""What a job owes in the end, and its payment. Each runs inside its caller's transaction, so
that an invoice, its entry in the ledger and the job's end stand or fall together."""

from __future__ import annotations

from farmctl.domain import JobState
from farmctl.errors import NotFound, Refused
from farmctl.market.pricing import charge_micro
from farmctl.market.records import Invoice, Transfer
from farmctl.store import Transaction, ledger, market
from farmctl.store.jobs import JobRecord

REVENUE = "revenue:training"
CASH = "cash"
#: A failed job is not charged for; a cancelled one is, up to its last report.
CHARGED = frozenset({JobState.DONE, JobState.CANCELLED})


def receivable(customer: str) -> str:
    return f"receivable:{customer}"


def payment_key(invoice: str) -> str:
    """Under which the ledger holds an invoice's payment."""
    return f"payment:{invoice}"


def settle(tx: Transaction, record: JobRecord, now: float) -> Invoice | None:
    """Invoice a job that has come to its end, once; None while it runs or if it owes nothing."""
    job = record.job
    if job.state not in CHARGED or market.invoice_of(tx, job.id) is not None:
        return None
    total = charge_micro(job.device_seconds, job.price_micro_per_hour)
    if total == 0:
        return None
    invoice = Invoice(
        id=f"INV-{job.id}",
        job=job.id,
        customer=job.customer,
        device_seconds=job.device_seconds,
        price_micro_per_hour=job.price_micro_per_hour,
        total_micro=total,
        issued=now,
    )
    market.add_invoice(tx, invoice)
    text = f"{job.name}: {job.device_seconds:.3f} device-seconds"
    ledger.post(
        tx, Transfer(f"invoice:{job.id}", receivable(job.customer), REVENUE, total, text), now
    )
    return invoice


def pay(tx: Transaction, identity: str, now: float) -> Invoice:
    """Record that an invoice was paid. Raises `NotFound`, or `Refused` if it was already."""
    invoice = market.find_invoice(tx, identity)
    if invoice is None:
        raise NotFound(f"there is no invoice {identity}; `farmctl market invoices` lists them")
    payment = Transfer(
        payment_key(invoice.id),
        CASH,
        receivable(invoice.customer),
        invoice.total_micro,
        f"payment of {invoice.id}",
    )
    if not ledger.post(tx, payment, now):
        raise Refused(f"{identity} has been paid already")
    return invoice
