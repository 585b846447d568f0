"""Walks a model or an input onto the chain: metadata, seeding, upload by quota, maturity.

Each transaction is written to the journal before it is sent, so the walk can be broken off at any
moment and called again: it goes on where it was and pays for nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from farmctl.errors import Refused
from farmctl.publishing.author import Author
from farmctl.publishing.journal import Journal
from node.models.quote import count_uploads
from node.spec.chain import Chain
from node.spec.gas import UPLOAD_GAS
from node.spec.meta import InputMeta, ModelMeta
from node.spec.transaction import Transaction
from node.spec.transition import UPLOAD_STEP_BYTES

#: Upload transactions that wait at one time.
MAX_WAITING = 32

#: Stage, how much of it is done, of how much.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Published:
    address: str
    infohash: str


class Publication:
    """Of one content's metadata by one author."""

    def __init__(
        self,
        author: Author,
        chain: Chain,
        meta: ModelMeta | InputMeta,
        journal: Journal,
        progress: Progress = lambda stage, done, total: None,
    ) -> None:
        self._author = author
        self._chain = chain
        self._meta = meta
        self._journal = journal
        self._progress = progress

    def run(self) -> Published:
        """Returns when the network may use it. Raises `Refused`, `Unavailable` or `StoreError`;
        called again it goes on."""
        address = self._create()
        self._upload(address)
        self._await_ripeness(address)
        return Published(address, self._meta.hash.hex())

    def _create(self) -> str:
        self._progress("metadata", 0, 1)
        journal = self._journal
        code = self._meta.encode()
        if journal.creation is not None and journal.creation.data != code:
            raise Refused(f"{journal.path} belongs to another publication; move it away")
        if journal.creation is not None and not self._resend(journal.creation):
            journal.creation = None
        if journal.creation is None:
            quote = self._author.call("ctxc_quotePublication", "0x" + code.hex())
            self._afford(int(quote["price"], 16))
            journal.creation = self._author.sign(None, int(quote["creationGas"], 16), code)
            journal.write()
            self._author.send(journal.creation)
        address: str = self._author.await_receipt(journal.creation)["contractAddress"]
        self._progress("metadata", 1, 1)
        return address

    def _resend(self, transaction: Transaction) -> bool:
        """False where it never was sent and no longer can be: its nonce went to another."""
        try:
            self._author.send(transaction)
        except Refused:
            return False
        return True

    def _afford(self, price_wei: int) -> None:
        """Nothing is begun that could not be finished."""
        balance = self._author.balance()
        if balance < price_wei:
            raise Refused(
                f"publishing costs about {price_wei} wei, 0x{self._author.address.hex()} has "
                f"{balance}; send it some coins first"
            )

    def _upload(self, address: str) -> None:
        total = count_uploads(self._meta.raw_size)
        self._journal.uploads = [each for each in self._journal.uploads if self._resend(each)]
        while True:
            # Before what is left: a block between the two looks must not make one step two.
            waiting = sum(self._author.find_receipt(t) is None for t in self._journal.uploads)
            found = self._look(address)
            left = count_uploads(int(found["upload"], 16))
            self._progress("upload", total - left, total)
            if not left:
                return
            for _ in range(min(left - waiting, self._room(found) - waiting)):
                self._send_upload(bytes.fromhex(address[2:]))
            time.sleep(self._author.poll_seconds)

    def _room(self, found: dict[str, Any]) -> int:
        """Upload transactions that the next block could take: none before the content has been
        seeded, then by the quota, of which a miner uses half of what is free."""
        head = self._author.call("eth_getBlockByNumber", "latest", False)
        if int(head["number"], 16) + 1 < int(found["block"], 16) + self._chain.seeding_blocks:
            return 0
        quota = int(head["quota"], 16) + self._chain.quota_per_block - int(head["quotaUsed"], 16)
        return max(1, min(MAX_WAITING, quota // 2 // UPLOAD_STEP_BYTES))

    def _send_upload(self, address: bytes) -> None:
        transaction: Transaction = self._author.sign(address, UPLOAD_GAS)
        self._journal.uploads.append(transaction)
        self._journal.write()
        self._author.send(transaction)

    def _await_ripeness(self, address: str) -> None:
        """Until contracts may use it; how many copies the farm itself wants is another matter."""
        while not (found := self._look(address))["ripe"]:
            self._progress(found["reason"], 0, 1)
            time.sleep(self._author.poll_seconds)
        self._progress("usable", 1, 1)

    def _look(self, address: str) -> dict[str, Any]:
        found: dict[str, Any] = self._author.call("ctxc_getModel", address)
        return found
