"""Selling capacity: offers, quotes, orders, invoices, the ledger."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Admin, Reader, Seller, find_farm
from farmctl.api.paging import Before, BeforeName
from farmctl.errors import NotFound
from farmctl.market import settlement
from farmctl.market.records import Invoice
from farmctl.store import Transaction, audit, ledger, market

router = APIRouter(prefix="/v1", tags=["market"])
Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/offers")
async def list_offers(request: Request, caller: Reader) -> list[schemas.OfferView]:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return [schemas.OfferView(**vars(offer)) for offer in farm.desk.offers(tx)]


@router.post("/quotes")
async def quote_job(
    request: Request, caller: Seller, body: schemas.QuoteRequest
) -> schemas.QuoteView:
    farm = find_farm(request)
    quote = farm.desk.quote(body.kind, body.parameters, body.interruptible)
    fields = {name: value for name, value in vars(quote).items() if name != "total_steps"}
    return schemas.QuoteView(**fields, estimated_total_micro=quote.estimated_total_micro)


@router.post("/jobs", status_code=201)
async def order_job(request: Request, caller: Seller, body: schemas.JobRequest) -> schemas.JobView:
    farm = find_farm(request)
    record = await farm.desk.order(body.quote, body.name, body.customer, caller.name)
    with farm.store.begin() as tx:
        return farm.views.job(tx, record)


@router.get("/invoices")
async def list_invoices(
    request: Request,
    caller: Reader,
    limit: Limit = 100,
    before: BeforeName = None,
) -> list[schemas.InvoiceView]:
    """Newest first, from the one that follows the invoice ``before``."""
    with find_farm(request).store.begin() as tx:
        return _invoices(tx, market.recent_invoices(tx, limit, before))


@router.get("/invoices/{invoice}")
async def show_invoice(request: Request, caller: Reader, invoice: str) -> schemas.InvoiceView:
    with find_farm(request).store.begin() as tx:
        found = market.find_invoice(tx, invoice)
        if found is None:
            raise NotFound(f"there is no invoice {invoice}; `farmctl market invoices` lists them")
        return _invoices(tx, [found])[0]


@router.post("/invoices/{invoice}/pay")
async def pay_invoice(request: Request, caller: Admin, invoice: str) -> schemas.InvoiceView:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        paid = settlement.pay(tx, invoice, farm.clock())
        audit.append(tx, farm.clock(), caller.name, "pay", invoice)
        return _invoices(tx, [paid])[0]


@router.get("/ledger")
async def list_ledger(
    request: Request, caller: Reader, limit: Limit = 100, before: Before = None
) -> list[schemas.LedgerEntryView]:
    """The newest transfers, or those from below the id ``before`` on, each as its two entries."""
    with find_farm(request).store.begin() as tx:
        found = ledger.recent(tx, limit, before)
    return [line for posted in found for line in _entries(posted)]


@router.get("/ledger/balances")
async def list_balances(request: Request, caller: Reader) -> list[schemas.BalanceView]:
    """What stands on each account, by its name."""
    with find_farm(request).store.begin() as tx:
        found = ledger.balances(tx)
    return [schemas.BalanceView(account=name, balance_micro=found[name]) for name in sorted(found)]


def _invoices(tx: Transaction, invoices: list[Invoice]) -> list[schemas.InvoiceView]:
    paid = ledger.times(tx, [settlement.payment_key(invoice.id) for invoice in invoices])
    return [
        schemas.InvoiceView(**vars(invoice), paid=paid.get(settlement.payment_key(invoice.id)))
        for invoice in invoices
    ]


def _entries(posted: ledger.PostedTransfer) -> list[schemas.LedgerEntryView]:
    transfer = posted.transfer
    sides = ((transfer.debit, transfer.amount_micro), (transfer.credit, -transfer.amount_micro))
    return [
        schemas.LedgerEntryView(
            id=posted.id,
            transaction=transfer.key,
            time=posted.time,
            account=account,
            amount_micro=amount,
            text=transfer.text,
        )
        for account, amount in sides
    ]
