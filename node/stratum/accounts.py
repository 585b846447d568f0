"""The pool's books: everything that is written to the store, one write at a time, in a thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from node.errors import NodeError, StoreError, SubmissionRefused
from node.spec.types import Block
from node.stratum.finds import Find, Finds
from node.stratum.found import FoundBlocks
from node.stratum.payments import Payments
from node.stratum.shares import ShareLedger, Slice

FLUSH_SECONDS = 1.0
SETTLE_SECONDS = 5.0
IMPORT_ATTEMPTS = 3

T = TypeVar("T")
log = logging.getLogger(__name__)

Import = Callable[[Block], Awaitable[None]]


class Accounts:
    """Used from the event loop. ``import_block`` may raise `SubmissionRefused` or `StoreError`."""

    def __init__(
        self,
        ledger: ShareLedger,
        found: FoundBlocks,
        finds: Finds,
        payments: Payments,
        import_block: Import,
    ) -> None:
        self.ledger = ledger
        self._found = found
        self._finds, self._payments, self._import = finds, payments, import_block
        self._thread = ThreadPoolExecutor(1, "stratum")
        self._unwritten: tuple[Slice | None, list[int]] = (None, [])
        self._imports: set[asyncio.Task[None]] = set()

    def take_block(self, block: Block, finder: bytes, is_solo: bool) -> None:
        """Keep a found block, then note and import it."""
        work = {finder: 1} if is_solo else self.ledger.weights()
        find = Find(block.hash(), block.header.number, finder, int(time.time()), work)
        try:
            self._found.keep(find, block)
        except OSError as error:
            log.error("a kill would lose block %d: %s", find.number, error)
        self._take(find, block)

    def recover(self) -> None:
        """Take up the blocks that a killed process had found."""
        for find, block in self._found.read():
            self._take(find, block)

    def _take(self, find: Find, block: Block) -> None:
        task = asyncio.get_running_loop().create_task(self._keep(find, block))
        self._imports.add(task)
        task.add_done_callback(self._imports.discard)

    async def _keep(self, find: Find, block: Block) -> None:
        for attempt in range(IMPORT_ATTEMPTS):
            try:
                # What the chain has was noted before, and may be settled by now.
                if not await self._run(lambda: self._finds.has_block(find)):
                    await self._run(lambda: self._finds.note(find))
                    await self._import(block)
            except SubmissionRefused as refused:
                log.warning("block %d refused: %s", find.number, refused)
                self._found.forget(find.block_hash)
                return
            except StoreError as error:
                log.error("block %d not kept: %s", find.number, error)
                await asyncio.sleep(attempt + 1.0)
            else:
                log.info("block %d found", find.number, extra={"action": "block_found"})
                await self._run(lambda: self._forget(find))
                return

    def _forget(self, find: Find) -> None:
        """Unless the block still waits for inference."""
        if self._finds.has_block(find):
            self._found.forget(find.block_hash)

    async def flush(self, window: int) -> None:
        """Write the shares since the last time; those older than ``window`` of work go. What
        cannot be written is written the next time."""
        if self._unwritten == (None, []):
            self._unwritten = self.ledger.begin_flush(window)
        try:
            dropped = await self._run(lambda: self.ledger.write(*self._unwritten))
        except StoreError as error:
            log.error("shares are not kept: %s", error, extra={"action": "shares_waiting"})
            return
        self._unwritten = (None, [])
        self.ledger.end_flush(dropped)

    async def settle(self) -> None:
        try:
            for find in await self._run(self._finds.settle):
                log.info(
                    *("block %d %s: %d wei", find.number, find.state, find.income_wei),
                    extra={"action": "block_settled"},
                )
            await self._run(self._payments.advance)
        except NodeError as error:
            log.error("blocks are not settled: %s", error, extra={"action": "settling_waits"})

    async def close(self, window: int) -> None:
        """Keep what there is, then end."""
        await asyncio.gather(*self._imports, return_exceptions=True)
        await self.flush(window)
        await asyncio.to_thread(self._thread.shutdown)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
