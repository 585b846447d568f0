"""``farmctl market``: what is for sale, what was sold, and the ledger."""

from __future__ import annotations

from datetime import datetime

import typer
from rich.console import Console
from rich.table import Table

from farmctl import config
from farmctl.client import ApiClient
from farmctl.tables import money


def list_offers() -> None:
    """Show each device that can be sold, with its price now."""
    currency, client = _open()
    table = _table("device", "price per hour", "mining earns", "available")
    for offer in client.get("/v1/offers"):
        table.add_row(
            offer["device"],
            money(offer["price_micro_per_hour"], currency),
            money(offer["floor_micro_per_hour"], currency),
            f"{'yes' if offer['available'] else 'no'}: {offer['reason']}",
        )
    Console(markup=False).print(table)


def list_invoices() -> None:
    """List invoices, newest first."""
    currency, client = _open()
    table = _table("invoice", "customer", "device seconds", "total", "issued")
    for invoice in client.get("/v1/invoices"):
        table.add_row(
            invoice["id"],
            invoice["customer"],
            f"{invoice['device_seconds']:.1f}",
            money(invoice["total_micro"], currency),
            _when(invoice["issued"]),
        )
    Console(markup=False).print(table)


def show_ledger() -> None:
    """Show the newest entries of the ledger; debits are positive, credits negative."""
    currency, client = _open()
    table = _table("time", "transaction", "account", "amount", "text")
    for entry in client.get("/v1/ledger"):
        table.add_row(
            _when(entry["time"]),
            entry["transaction"],
            entry["account"],
            money(entry["amount_micro"], currency),
            entry["text"],
        )
    Console(markup=False).print(table)


def pay_invoice(invoice: str) -> None:
    """Record that an invoice was paid."""
    currency, client = _open()
    paid = client.post(f"/v1/invoices/{invoice}/pay")
    text = f"{paid['id']} is paid: {money(paid['total_micro'], currency)} by {paid['customer']}"
    Console(markup=False).print(text, highlight=False)


def _open() -> tuple[str, ApiClient]:
    loaded = config.load()
    return loaded.farm.currency, ApiClient(loaded)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Capacity for sale, invoices, the ledger.", no_args_is_help=True)
    group.command("offers")(list_offers)
    group.command("invoices")(list_invoices)
    group.command("ledger")(show_ledger)
    group.command("pay")(pay_invoice)
    app.add_typer(group, name="market")
