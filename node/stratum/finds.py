"""Blocks that miners found, and what each miner gets of them.

A block is noted **before** it is imported, with the weights it will be divided by; once enough
blocks stand on its height, one transaction credits its income or calls it lost. So a kill at any
moment neither forgets a block nor shares it out twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from node.spec import rlp
from node.spec.chain import Chain
from node.spec.header import MAX_UNCLES
from node.spec.rewards import share_rewards
from node.spec.state import State
from node.spec.types import Block, Header
from node.store import ChainStore, Records
from node.stratum.shares import decode_work, encode_work

BASIS_POINTS = 10_000
#: A block off the chain is an uncle of one at most so many later (cortex-protocol §2).
UNCLE_DEPTH = 6
#: Of blocks that are settled, so many are remembered.
MAX_SETTLED = 1000


class FindState(StrEnum):
    WAITING = "waiting"
    """For confirmations."""
    SHARED = "shared"
    UNCLE = "uncle"
    """Shared, with an uncle's reward."""
    ORPHANED = "orphaned"
    """On no chain of ours; it paid nothing."""


@dataclass(frozen=True)
class Find:
    """A block that a miner found."""

    block_hash: bytes
    number: int
    finder: bytes
    found_at: int
    """Seconds since the epoch."""
    work: Mapping[bytes, int]
    """By account; the block is divided in proportion. Empty once settled."""
    state: FindState = FindState.WAITING
    income_wei: int = 0

    def encode(self) -> bytes:
        numbers = (self.number, self.found_at, self.income_wei)
        parts: list[rlp.Item] = [rlp.encode_int(n) for n in numbers]
        return rlp.encode(
            [
                self.block_hash,
                self.finder,
                self.state.encode(),
                encode_work(dict(self.work)),
                *parts,
            ]
        )

    @classmethod
    def decode(cls, raw: bytes) -> Find:
        block_hash, finder, state, work, *numbers = rlp.decode_list(rlp.decode(raw), 7)
        number, found_at, income = (rlp.decode_int(n) for n in numbers)
        return cls(
            rlp.decode_bytes(block_hash, 32),
            number,
            rlp.decode_bytes(finder, 20),
            found_at,
            decode_work(rlp.decode_bytes(work)),
            FindState(rlp.decode_bytes(state).decode()),
            income,
        )


@dataclass(frozen=True)
class Balance:
    """What an account was credited and paid so far, in wei."""

    credited: int = 0
    paid: int = 0

    @property
    def due(self) -> int:
        return self.credited - self.paid

    def encode(self) -> bytes:
        return rlp.encode([rlp.encode_int(self.credited), rlp.encode_int(self.paid)])

    @classmethod
    def decode(cls, raw: bytes | None) -> Balance:
        if raw is None:
            return cls()
        credited, paid = rlp.decode_list(rlp.decode(raw), 2)
        return cls(rlp.decode_int(credited), rlp.decode_int(paid))


def read_balances(store: ChainStore) -> dict[bytes, Balance]:
    return {account: Balance.decode(raw) for account, raw in store.records("balances")}


def read_finds(store: ChainStore) -> list[Find]:
    """Newest first, those that wait among them."""
    rows = [*store.records("candidates"), *store.records("finds")]
    return sorted((Find.decode(raw) for _, raw in rows), key=lambda f: f.number, reverse=True)


class Finds:
    """May be used from any one thread at a time."""

    def __init__(
        self, store: ChainStore, chain: Chain, fee_basis_points: int, confirmations: int
    ) -> None:
        self._store, self._chain = store, chain
        self._fee, self._confirmations = fee_basis_points, confirmations

    def note(self, find: Find) -> None:
        """Before the block is imported."""
        self._store.change(
            lambda records: records.put("candidates", find.block_hash, find.encode())
        )

    def has_block(self, find: Find) -> bool:
        """Whether the block is in the store, on the chain or beside it."""
        return self._store.header(find.block_hash) is not None

    def settle(self) -> list[Find]:
        """Share out, or call lost, what has its confirmations; those settled now."""
        head = self._store.head_header().number
        depth = max(self._confirmations, UNCLE_DEPTH + 1)
        waiting = (Find.decode(raw) for _, raw in self._store.records("candidates"))
        settled = [self._judge(find) for find in waiting if find.number + depth <= head]
        for find in settled:
            self._store.change(partial(self._credit, find))
        return [replace(find, work={}) for find in settled]

    def _judge(self, find: Find) -> Find:
        if self._store.canonical_hash(find.number) == find.block_hash:
            block = self._store.block(find.block_hash)
            assert block is not None
            return replace(find, state=FindState.SHARED, income_wei=self._income(block))
        reward = self._uncle_income(find)
        state = FindState.ORPHANED if reward is None else FindState.UNCLE
        return replace(find, state=state, income_wei=reward or 0)

    def _income(self, block: Block) -> int:
        """Reward and fees of a canonical block. Authors' shares of the gas are not recorded, so
        the fees are taken from the change of the coinbase's balance."""
        header = block.header
        parent = self._header(header.parent_hash)
        numbers = [uncle.number for uncle in block.uncles]
        reward = share_rewards(self._chain, header.number, parent.supply, numbers).miner
        change = self._balance(header) - self._balance(parent, header.coinbase) - reward
        most = previous = 0
        receipts = self._store.receipts(header.hash())
        for transaction, receipt in zip(block.transactions, receipts, strict=True):
            gas, previous = receipt.cumulative_gas_used - previous, receipt.cumulative_gas_used
            moved = transaction.value if receipt.succeeded else 0
            if transaction.sender(self._chain) == header.coinbase:
                change += moved  # its gas it pays to itself
            else:
                most += gas * transaction.gas_price
            if transaction.to == header.coinbase:
                change -= moved
        return reward + max(0, min(change, most))

    def _uncle_income(self, find: Find) -> int | None:
        """An uncle's reward, where a canonical block names it."""
        for number in range(find.number + 1, find.number + UNCLE_DEPTH + 1):
            nephew = self._store.block(self._store.canonical_hash(number) or b"")
            hashes = [u.hash() for u in nephew.uncles[:MAX_UNCLES]] if nephew else []
            if nephew is not None and find.block_hash in hashes:
                parent = self._header(nephew.header.parent_hash)
                numbers = [uncle.number for uncle in nephew.uncles]
                rewards = share_rewards(self._chain, number, parent.supply, numbers)
                return rewards.uncles[hashes.index(find.block_hash)]
        return None

    def _header(self, block_hash: bytes) -> Header:
        header = self._store.header(block_hash)
        assert header is not None
        return header

    def _balance(self, header: Header, account: bytes | None = None) -> int:
        return State(self._store, header.state_root).get_balance(account or header.coinbase)

    def _credit(self, find: Find, records: Records) -> None:
        if records.get("candidates", find.block_hash) is None:
            return
        for account, wei in divide(find.income_wei, find.work, self._fee).items():
            balance = Balance.decode(records.get("balances", account))
            credited = replace(balance, credited=balance.credited + wei)
            records.put("balances", account, credited.encode())
        records.drop("candidates", find.block_hash)
        key = find.number.to_bytes(8, "big") + find.block_hash
        records.put("finds", key, replace(find, work={}).encode())
        for old in records.keys("finds")[:-MAX_SETTLED]:
            records.drop("finds", old)


def divide(income_wei: int, work: Mapping[bytes, int], fee_basis_points: int) -> dict[bytes, int]:
    """Wei by account: the income less the fee, in proportion to work. What rounding leaves stays
    with the pool, so no more is given than was earned."""
    total = sum(work.values())
    pot = income_wei * (BASIS_POINTS - fee_basis_points) // BASIS_POINTS
    shares = {account: pot * part // total for account, part in work.items()} if total else {}
    return {account: wei for account, wei in shares.items() if wei}
