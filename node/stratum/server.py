"""The pool at the node: its listener, its books, and the node's blocks as jobs."""

from __future__ import annotations

import time
from collections.abc import Callable

from node.core import Node
from node.spec.seal import CycleVerifier
from node.spec.types import Block
from node.stratum.accounts import FLUSH_SECONDS, SETTLE_SECONDS, Accounts, Import
from node.stratum.finds import Finds
from node.stratum.found import FoundBlocks
from node.stratum.jobs import JobBook
from node.stratum.listener import Listener
from node.stratum.payments import Payments
from node.stratum.pool import Pool
from node.stratum.settings import StratumSettings
from node.stratum.shares import ShareLedger

#: A better block on the same head is sent out at most this often.
REFRESH_SECONDS = 10.0


class StratumServer(Listener):
    """``import_block`` imports what a miner sealed, and may raise `SubmissionRefused` or
    `StoreError`; ``secret`` is the key of the node's coinbase, for payments."""

    def __init__(
        self,
        settings: StratumSettings,
        node: Node,
        import_block: Import,
        verify_cycle: CycleVerifier,
        secret: bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        finds = Finds(node.store, node.chain, settings.fee_basis_points, settings.confirmations)
        payments = Payments(node, secret, settings.payout_wei, settings.confirmations)
        folder = node.home / "stratum"
        ledger, found = ShareLedger(node.store, folder), FoundBlocks(folder)
        self._accounts = Accounts(ledger, found, finds, payments, import_block)
        self.pool = Pool(
            settings,
            JobBook(node.chain, verify_cycle, clock),
            self._accounts.ledger.add,
            self._accounts.take_block,
            clock,
        )
        super().__init__(settings, self.pool, clock)
        self._offered = -REFRESH_SECONDS

    async def start(self) -> None:
        """Listen: first for the shared pool, then for solo mining. Raises `NodeError` where it
        cannot."""
        doors = ((False, self.settings.port), (True, self.settings.solo_port))
        self._accounts.recover()
        rounds = (
            (lambda: self._accounts.flush(self._window()), FLUSH_SECONDS),
            (self._accounts.settle, SETTLE_SECONDS),
        )
        await self.open(doors, rounds)

    async def stop(self) -> None:
        """Close every connection and keep the shares."""
        await self.close()
        await self._accounts.close(self._window())

    def offer(self, block: Block) -> None:
        """Let miners work on a block: at once on a new head, else with the next refresh."""
        current = self.pool.book.current
        is_new = current is None or current.height != block.header.number
        if is_new or self.clock() - self._offered >= REFRESH_SECONDS:
            self._offered = self.clock()
            self.pool.book.add(block)
            self.tell(is_new)

    def _window(self) -> int:
        template = self.pool.book.current
        return self.settings.window_blocks * (template.difficulty if template else 1)
