"""Selling capacity: offers, quotes, orders, invoices, the ledger."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Admin, Reader, Seller, find_farm
from farmctl.market import settlement
from farmctl.store import audit, ledger, market

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
    request: Request, caller: Reader, limit: Limit = 100
) -> list[schemas.InvoiceView]:
    with find_farm(request).store.begin() as tx:
        return [schemas.InvoiceView(**vars(i)) for i in market.recent_invoices(tx, limit)]


@router.post("/invoices/{invoice}/pay")
async def pay_invoice(request: Request, caller: Admin, invoice: str) -> schemas.InvoiceView:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        paid = settlement.pay(tx, invoice, farm.clock())
        audit.append(tx, farm.clock(), caller.name, "pay", invoice)
    return schemas.InvoiceView(**vars(paid))


@router.get("/ledger")
async def list_ledger(
    request: Request, caller: Reader, limit: Limit = 100
) -> list[schemas.LedgerEntryView]:
    """The newest transfers, each as its two entries."""
    with find_farm(request).store.begin() as tx:
        return [line for posted in ledger.recent(tx, limit) for line in _entries(posted)]


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
