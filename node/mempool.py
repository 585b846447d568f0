"""Transactions that wait for a block: bounded, in nonce order per sender, best price first.

A transaction leaves only when it is in a block, replaced, evicted for a better one, or no
longer possible. One whose inference cannot be computed now stays.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from node.errors import RefusalReason, TransactionRefused
from node.spec.chain import Chain
from node.spec.errors import InvalidTransaction
from node.spec.gas import intrinsic_gas
from node.spec.types import Transaction

MAX_TRANSACTION_BYTES = 128 * 1024
REPLACEMENT_PERCENT = 110


class Accounts(Protocol):
    """State at the head, as far as the pool needs it."""

    def get_nonce(self, address: bytes) -> int: ...

    def get_balance(self, address: bytes) -> int: ...

    def get_upload(self, address: bytes) -> int: ...


@dataclass(frozen=True)
class Waiting:
    transaction: Transaction
    sender: bytes
    arrival: int


@dataclass(frozen=True)
class PoolLimits:
    transactions: int = 4096
    per_sender: int = 256
    minimum_gas_price_wei: int = 1


class Mempool:
    """All methods are safe to call from several threads."""

    def __init__(
        self,
        chain: Chain,
        limits: PoolLimits | None = None,
    ) -> None:
        self._chain = chain
        self._limits = limits or PoolLimits()
        self._by_hash: dict[bytes, Waiting] = {}
        self._by_sender: dict[bytes, dict[int, Waiting]] = {}
        self._arrivals = 0
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._by_hash)

    def __contains__(self, transaction_hash: bytes) -> bool:
        return transaction_hash in self._by_hash

    def hashes(self) -> list[bytes]:
        """Of all that wait, the oldest first."""
        with self._lock:
            return list(self._by_hash)

    def get(self, transaction_hash: bytes) -> Transaction | None:
        waiting = self._by_hash.get(transaction_hash)
        return waiting.transaction if waiting else None

    def sender(self, transaction_hash: bytes) -> bytes | None:
        waiting = self._by_hash.get(transaction_hash)
        return waiting.sender if waiting else None

    @property
    def arrivals(self) -> int:
        """How many transactions ever came."""
        return self._arrivals

    def since(self, arrival: int) -> tuple[int, list[Transaction]]:
        """How many ever came, and those of them after number ``arrival`` that still wait."""
        with self._lock:
            latest = itertools.takewhile(
                lambda w: w.arrival > arrival, reversed(self._by_hash.values())
            )
            return self._arrivals, [w.transaction for w in latest][::-1]

    def all(self) -> list[Waiting]:
        """Every transaction that waits, as they came."""
        with self._lock:
            return list(self._by_hash.values())

    def add(
        self,
        transaction: Transaction,
        accounts: Accounts,
        gas_limit: int,
        height: int,
        returns: bool = False,
    ) -> list[bytes]:
        """Take a transaction; return the hashes that it pushed out. ``height`` is that of the
        next block; one that ``returns`` from a block or the disk was taken before, so its nonce
        may be any number ahead. Raises `TransactionRefused`."""
        with self._lock:
            sender = self._check(transaction, accounts, gas_limit, height, returns)
            pushed = self._make_room(transaction, sender)
            self._arrivals += 1
            waiting = Waiting(transaction, sender, self._arrivals)
            self._by_hash[transaction.hash()] = waiting
            self._by_sender.setdefault(sender, {})[transaction.nonce] = waiting
            return pushed

    def remove(self, hashes: Iterable[bytes]) -> None:
        with self._lock:
            for key in hashes:
                self._forget(key)

    def prune(self, accounts: Accounts) -> list[bytes]:
        """Forget what can never be included any more; return the hashes."""
        with self._lock:
            dead = [
                w.transaction.hash()
                for sender, queue in self._by_sender.items()
                for nonce, w in queue.items()
                if nonce < accounts.get_nonce(sender)
            ]
            self.remove(dead)
            return dead

    def next_nonce(self, sender: bytes, accounts: Accounts) -> int:
        """The nonce after the sender's last transaction without a gap."""
        nonce = accounts.get_nonce(sender)
        with self._lock:
            queue = self._by_sender.get(sender, {})
            while nonce in queue:
                nonce += 1
        return nonce

    def ready(self, accounts: Accounts, skip: set[bytes]) -> Iterator[Waiting]:
        """What can go into the next block, best price first and each sender's in order. The
        caller adds a sender to ``skip`` to leave out the rest of theirs."""
        with self._lock:
            queues = {s: dict(q) for s, q in self._by_sender.items()}
        heap: list[tuple[int, int, Waiting]] = []
        for sender, queue in queues.items():
            _push(heap, queue.get(accounts.get_nonce(sender)))
        while heap:
            waiting = heapq.heappop(heap)[2]
            yield waiting
            if waiting.sender not in skip:
                _push(heap, queues[waiting.sender].get(waiting.transaction.nonce + 1))

    def _check(
        self,
        transaction: Transaction,
        accounts: Accounts,
        gas_limit: int,
        height: int,
        returns: bool,
    ) -> bytes:
        if transaction.hash() in self._by_hash:
            raise TransactionRefused(RefusalReason.ALREADY_KNOWN, "already known")
        if len(transaction.encode()) > MAX_TRANSACTION_BYTES:
            raise TransactionRefused(
                RefusalReason.OVERSIZED, f"oversized data: over {MAX_TRANSACTION_BYTES} bytes"
            )
        sender = self._sender(transaction, height)
        self._check_gas(transaction, accounts, gas_limit, height)
        self._check_account(transaction, sender, accounts, returns)
        self._check_replacement(transaction, sender)
        return sender

    def _sender(self, transaction: Transaction, height: int) -> bytes:
        try:
            sender = transaction.sender(self._chain)
        except InvalidTransaction as error:
            raise TransactionRefused(
                RefusalReason.BAD_SIGNATURE, f"invalid sender: {error}"
            ) from error
        since = self._chain.blocked_senders.get(sender)
        if since is not None and height >= since:
            raise TransactionRefused(RefusalReason.BLOCKED_SENDER, "the sender is blocked")
        return sender

    def _check_gas(
        self, transaction: Transaction, accounts: Accounts, gas_limit: int, height: int
    ) -> None:
        minimum = self._limits.minimum_gas_price_wei
        if transaction.gas_price < minimum:
            raise TransactionRefused(
                RefusalReason.UNDERPRICED, f"transaction underpriced: at least {minimum} wei"
            )
        if transaction.gas > gas_limit:
            raise TransactionRefused(
                RefusalReason.GAS_LIMIT, f"exceeds block gas limit of {gas_limit}"
            )
        needed = intrinsic_gas(
            transaction.data,
            creates=transaction.to is None,
            uploads=bool(transaction.to and not transaction.value)
            and accounts.get_upload(transaction.to or b"") > 0,
            istanbul=self._chain.is_istanbul(height),
        )
        if transaction.gas < needed:
            raise TransactionRefused(
                RefusalReason.INTRINSIC_GAS, f"intrinsic gas too low: needs {needed}"
            )

    def _check_account(
        self, transaction: Transaction, sender: bytes, accounts: Accounts, returns: bool
    ) -> None:
        nonce = accounts.get_nonce(sender)
        if transaction.nonce < nonce:
            raise TransactionRefused(
                RefusalReason.NONCE_TOO_LOW, f"nonce too low: next nonce is {nonce}"
            )
        if transaction.nonce >= nonce + self._limits.per_sender and not returns:
            raise TransactionRefused(
                RefusalReason.NONCE_TOO_HIGH, f"nonce too high: next nonce is {nonce}"
            )
        cost = transaction.value + transaction.gas * transaction.gas_price
        balance = accounts.get_balance(sender)
        if balance < cost:
            raise TransactionRefused(
                RefusalReason.INSUFFICIENT_FUNDS,
                f"insufficient funds for gas * price + value: have {balance} want {cost}",
            )

    def _check_replacement(self, transaction: Transaction, sender: bytes) -> None:
        old = self._by_sender.get(sender, {}).get(transaction.nonce)
        if old is None:
            return
        if transaction.gas_price * 100 < old.transaction.gas_price * REPLACEMENT_PERCENT:
            raise TransactionRefused(
                RefusalReason.REPLACEMENT_UNDERPRICED,
                "replacement transaction underpriced: pay 10 % more than the one it replaces",
            )

    def _make_room(self, transaction: Transaction, sender: bytes) -> list[bytes]:
        old = self._by_sender.get(sender, {}).get(transaction.nonce)
        if old is not None:
            self._forget(old.transaction.hash())
            return [old.transaction.hash()]
        if len(self._by_hash) < self._limits.transactions:
            return []
        victim = min(
            (queue[max(queue)] for queue in self._by_sender.values()),
            key=lambda w: (w.transaction.gas_price, -w.arrival),
        )
        if victim.transaction.gas_price >= transaction.gas_price or victim.sender == sender:
            raise TransactionRefused(RefusalReason.POOL_FULL, "the pool is full: pay more")
        self._forget(victim.transaction.hash())
        return [victim.transaction.hash()]

    def _forget(self, key: bytes) -> None:
        waiting = self._by_hash.pop(key, None)
        if waiting is None:
            return
        queue = self._by_sender[waiting.sender]
        del queue[waiting.transaction.nonce]
        if not queue:
            del self._by_sender[waiting.sender]


def _push(heap: list[tuple[int, int, Waiting]], waiting: Waiting | None) -> None:
    if waiting is not None:
        heapq.heappush(heap, (-waiting.transaction.gas_price, waiting.arrival, waiting))
