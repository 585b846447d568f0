"""Building blocks to be mined: the best transactions that can be included now.

A transaction whose inference has no answer stays in the pool, the block goes on without it, and
the template says why (``blocked``).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from node.execution import Ancestry, Executor
from node.mempool import Mempool
from node.overlay import Overlay
from node.spec.difficulty import next_difficulty
from node.spec.errors import InvalidBlock, InvalidTransaction, Reason
from node.spec.gas import TRANSACTION_GAS, next_gas_limit
from node.spec.header import MAX_UNCLES
from node.spec.state import State
from node.spec.transition import (
    BlockTransition,
    Totals,
    block_context,
    quota_to_build,
    transactions_root,
)
from node.spec.types import EMPTY_BLOOM, Block, Header, Transaction, uncles_hash
from node.spec.vm.context import Infer, InferRuntimeError, KernelFault

EXTRA = b"farmctl"
#: Taking transactions in stops after this long; the rest waits for the next template.
BUILD_SECONDS = 2.0
MAX_UNCLE_CANDIDATES = 32

#: Reasons that may pass while the transaction waits; any other ends its wait.
PASSING = frozenset(
    {
        Reason.GAS_LIMIT_REACHED,
        Reason.QUOTA_REACHED,
        Reason.NOT_SEEDED,
        Reason.NONCE_TOO_HIGH,
        Reason.INSUFFICIENT_BALANCE,
    }
)


@dataclass(frozen=True)
class Template:
    """A block complete but for its seal."""

    block: Block
    blocked: str = ""
    """Why some transaction had to wait for inference; empty where none had."""
    impossible: tuple[bytes, ...] = ()
    """Hashes of transactions that can be in no block."""


@dataclass
class _Choice:
    """What the choosing of transactions came to."""

    taken: list[Transaction] = field(default_factory=list)
    impossible: list[bytes] = field(default_factory=list)
    blocked: str = ""


class PatientInference:
    """Asks for each model until it fails once, so that one build waits at most once for it."""

    def __init__(self, inner: Infer) -> None:
        self._inner = inner
        self._failed: dict[bytes, str] = {}

    def operations(self, model: bytes, raw_size: int) -> int:
        return self._inner.operations(model, raw_size)

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        return self._inner.input_data(infohash, raw_size)

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        if model in self._failed:
            raise InferRuntimeError(self._failed[model])
        try:
            return self._inner.run(model, data, raw_size)
        except KernelFault:
            raise
        except InferRuntimeError as error:
            self._failed[model] = str(error)
            raise


class Producer:
    def __init__(
        self,
        executor: Executor,
        mempool: Mempool,
        coinbase: bytes,
        clock: Callable[[], float],
        infer: Infer,
    ) -> None:
        self._executor = executor
        self._infer = infer
        self._chain = executor.chain
        self._mempool = mempool
        self._coinbase = coinbase
        self._clock = clock
        self._sides: OrderedDict[bytes, Header] = OrderedDict()

    def note_side(self, header: Header) -> None:
        """Remember a valid block off the canonical chain: it may become an uncle."""
        self._sides[header.hash()] = header
        if len(self._sides) > MAX_UNCLE_CANDIDATES:
            self._sides.popitem(last=False)

    def build(self, parent: Header) -> Template:
        """A block on ``parent``. Takes a few seconds at most, unless an engine is slow."""
        header = self.begin(parent)
        uncles = self._choose_uncles(header)
        state = State(Overlay(self._executor.store), parent.state_root)
        transition = BlockTransition(
            block_context(
                self._chain,
                header,
                Ancestry(self._executor.store, parent),
                self._executor.usable(parent, header.number),
            ),
            state,
            PatientInference(self._infer),
            quota_to_build(parent, self._chain),
            self._executor.interpret,
        )
        choice = self._choose(transition, state)
        totals = transition.finish(parent, uncles)
        block = self._finish(parent, header, choice.taken, uncles, totals)
        return Template(block, choice.blocked, tuple(choice.impossible))

    def begin(self, parent: Header) -> Header:
        """Header of an empty block on ``parent``, that has no roots yet."""
        timestamp = max(parent.timestamp + 1, int(self._clock()))
        return Header(
            parent_hash=parent.hash(),
            uncles_hash=uncles_hash(()),
            coinbase=self._coinbase,
            state_root=bytes(32),
            transactions_root=bytes(32),
            receipts_root=bytes(32),
            bloom=EMPTY_BLOOM,
            difficulty=next_difficulty(self._chain, timestamp, parent),
            number=parent.number + 1,
            gas_limit=next_gas_limit(self._chain, parent.gas_limit, parent.gas_used),
            gas_used=0,
            timestamp=timestamp,
            extra=EXTRA,
            mix_hash=bytes(32),
            nonce=bytes(8),
            solution=(0,) * self._chain.proof_size,
            quota=parent.quota + self._chain.quota_per_block,
            quota_used=parent.quota_used,
            supply=parent.supply,
        )

    def _choose(self, transition: BlockTransition, state: State) -> _Choice:
        choice = _Choice()
        skip: set[bytes] = set()
        deadline = time.monotonic() + BUILD_SECONDS
        for waiting in self._mempool.ready(state, skip):
            if transition.gas_left < TRANSACTION_GAS or time.monotonic() > deadline:
                break
            if not self._take(transition, waiting.transaction, choice):
                skip.add(waiting.sender)
        return choice

    def _take(self, transition: BlockTransition, transaction: Transaction, to: _Choice) -> bool:
        try:
            transition.apply(transaction)
        except InvalidTransaction as error:
            if error.reason not in PASSING:
                to.impossible.append(transaction.hash())
            return False
        except KernelFault:
            to.impossible.append(transaction.hash())
            return False
        except InferRuntimeError as error:
            to.blocked = to.blocked or f"a transaction waits for inference: {error}"
            return False
        to.taken.append(transaction)
        return True

    def _choose_uncles(self, header: Header) -> tuple[Header, ...]:
        chosen: tuple[Header, ...] = ()
        for side in list(self._sides.values()):
            if len(chosen) == MAX_UNCLES:
                break
            try:
                self._executor.verify_uncles(Block(header, (), (*chosen, side)))
            except InvalidBlock:
                continue
            chosen = (*chosen, side)
        return chosen

    def _finish(
        self,
        parent: Header,
        header: Header,
        transactions: list[Transaction],
        uncles: tuple[Header, ...],
        totals: Totals,
    ) -> Block:
        finished = replace(
            header,
            uncles_hash=uncles_hash(uncles),
            state_root=totals.state_root,
            transactions_root=transactions_root(transactions),
            receipts_root=totals.receipts_root,
            bloom=totals.bloom,
            gas_used=totals.gas_used,
            quota_used=parent.quota_used + totals.uploaded_bytes,
            supply=totals.supply,
        )
        return Block(finished, tuple(transactions), uncles)
