"""Balances paid by transactions from the node's account.

A payment is signed and kept, and the balance lowered, in one transaction before it is sent, so
the same payment is sent again after a kill and never made twice. The next batch waits until the
last is final. Should another transaction take a payment's nonce, its balance is given back.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from node.core import Node
from node.errors import RefusalReason, TransactionRefused
from node.spec.gas import TRANSACTION_GAS
from node.spec.types import Transaction
from node.store import Records
from node.stratum.finds import Balance, read_balances

MAX_BATCH = 32

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Payments:
    """``secret`` is the 32-byte key of the node's coinbase."""

    node: Node
    secret: bytes
    payout_wei: int
    """Smaller balances wait; 0 pays nothing."""
    confirmations: int

    def advance(self) -> None:
        """Settle or send again what is under way, else pay what is due."""
        if not self.payout_wei:
            return
        for key, raw in self.node.store.records("payments"):
            self._follow(key, Transaction.decode(raw))
        if not self.node.store.records("payments"):
            self._pay()

    def _follow(self, key: bytes, payment: Transaction) -> None:
        final = self.node.header_at(max(0, self.node.head().number - self.confirmations))
        if final is None:
            return
        spent = self.node.state_at(final).get_nonce(self.node.coinbase)
        if spent <= payment.nonce:
            self._send(payment)
            return
        paid = self.node.store.location(payment.hash()) is not None
        self.node.store.change(lambda records: _close(records, key, payment, paid))

    def _pay(self) -> None:
        head = self.node.state_at(self.node.head())
        price = self.node.gas_price.suggest()
        purse, nonce = head.get_balance(self.node.coinbase), head.get_nonce(self.node.coinbase)
        due = sorted(read_balances(self.node.store).items(), key=lambda b: b[1].due, reverse=True)
        batch = []
        for account, balance in due[:MAX_BATCH]:
            purse -= balance.due + TRANSACTION_GAS * price
            if balance.due < self.payout_wei or purse < 0:
                break
            blank = Transaction(nonce, price, TRANSACTION_GAS, account, balance.due, b"")
            batch.append(blank.sign(self.secret, self.node.chain.chain_id))
            nonce += 1
        if batch:
            self.node.store.change(lambda records: _open(records, batch))
        for payment in batch:
            self._send(payment)

    def _send(self, payment: Transaction) -> None:
        try:
            self.node.send(payment)
        except TransactionRefused as refused:
            if refused.reason not in (RefusalReason.ALREADY_KNOWN, RefusalReason.NONCE_TOO_LOW):
                log.warning("a payment waits: %s", refused, extra={"action": "payment_waits"})


def _open(records: Records, batch: list[Transaction]) -> None:
    for payment in batch:
        records.put("payments", payment.nonce.to_bytes(8, "big"), payment.encode())
        _shift(records, payment, payment.value)


def _close(records: Records, key: bytes, payment: Transaction, paid: bool) -> None:
    records.drop("payments", key)
    if not paid:
        _shift(records, payment, -payment.value)


def _shift(records: Records, payment: Transaction, wei: int) -> None:
    account = payment.to or b""
    balance = Balance.decode(records.get("balances", account))
    records.put("balances", account, replace(balance, paid=balance.paid + wei).encode())
