"""A chain that a test grows block by block, unsealed, with everything else as it must be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from node.spec.block import apply_block
from node.spec.chain import Chain
from node.spec.crypto import private_address
from node.spec.difficulty import next_difficulty
from node.spec.gas import next_gas_limit
from node.spec.state import State
from node.spec.transition import (
    BlockTransition,
    block_context,
    quota_to_build,
    transactions_root,
)
from node.spec.trie import MemoryStore
from node.spec.types import Block, Header, Receipt, Transaction, uncles_hash
from node.spec.vm import InferRuntimeError

SECRET = b"\7" * 32
SENDER = private_address(SECRET)
MINER = b"\x33" * 20


class NoEngine:
    """Inference as it is while nothing can compute one."""

    def operations(self, model: bytes, raw_size: int) -> int:
        raise InferRuntimeError("no engine")

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        raise InferRuntimeError("no engine")

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        raise InferRuntimeError("no engine")


@dataclass
class Farm:
    """A growing chain; ``SENDER`` has a million coins in its genesis."""

    chain: Chain
    store: MemoryStore
    blocks: list[Block]

    @property
    def head(self) -> Header:
        return self.blocks[-1].header

    def state(self) -> State:
        return State(self.store, self.head.state_root)

    def build(
        self, transactions: tuple[Transaction, ...] = (), uncles: tuple[Header, ...] = ()
    ) -> Block:
        """The next block, three seconds on, unsealed and not yet part of the chain."""
        parent, chain = self.head, self.chain
        time = max(parent.timestamp, 1_000) + 3
        blank = replace(
            parent,
            parent_hash=parent.hash(),
            number=parent.number + 1,
            coinbase=MINER,
            timestamp=time,
            difficulty=next_difficulty(chain, time, parent),
            gas_limit=next_gas_limit(chain, parent.gas_limit, parent.gas_used),
            quota=parent.quota + chain.quota_per_block,
        )
        context = block_context(chain, blank, lambda number: bytes(32))
        quota = quota_to_build(parent, chain)
        transition = BlockTransition(context, self.state(), NoEngine(), quota)
        for transaction in transactions:
            transition.apply(transaction)
        totals = transition.finish(parent, uncles)
        header = replace(
            blank,
            uncles_hash=uncles_hash(uncles),
            state_root=totals.state_root,
            transactions_root=transactions_root(transactions),
            receipts_root=totals.receipts_root,
            bloom=totals.bloom,
            gas_used=totals.gas_used,
            quota_used=parent.quota_used + totals.uploaded_bytes,
            supply=totals.supply,
        )
        return Block(header, transactions, uncles)

    def check(self, block: Block) -> list[Receipt]:
        """Execute a block on the head as one that came from elsewhere."""
        return apply_block(
            self.chain, self.head, block, self.state(), NoEngine(), lambda number: bytes(32)
        )

    def add(self, *transactions: Transaction) -> list[Receipt]:
        block = Block.decode(self.build(transactions).encode())
        receipts = self.check(block)
        self.blocks.append(block)
        return receipts

    def sign(self, to: bytes | None, ahead: int = 0, **fields: int | bytes) -> Transaction:
        """A signed transaction of ``SENDER``, its nonce ``ahead`` of the account's."""
        values = {"gas_price": 10**9, "gas": 21_000, "value": 0, "data": b""} | fields
        nonce = self.state().get_nonce(SENDER) + ahead
        unsigned = Transaction(nonce=nonce, to=to, **values)  # type: ignore[arg-type]
        return unsigned.sign(SECRET, self.chain.chain_id)
