"""The node without its clockwork: chain, mempool, work and models behind plain methods.

Everything is synchronous and safe for several threads; `node.service` runs it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.errors import (
    RefusalReason,
    StatePruned,
    StoreError,
    SubmissionReason,
    SubmissionRefused,
    TransactionRefused,
)
from node.execution import Executor
from node.gas_price import GasPriceOracle
from node.importing import HeadChange, Imported, Importer, Outcome
from node.inference import Inference, InferEngine, Urgency
from node.mempool import Mempool, PoolLimits
from node.models.index import ModelIndex
from node.models.loading import GraphLoader
from node.models.plagiarism import LikenessDesk
from node.models.scores import ScoreBook
from node.overlay import Overlay
from node.peers.board import PeerBoard
from node.prerun import Prerunner
from node.production import Producer
from node.rpc.filters import Filters
from node.rpc.settings import RpcSettings
from node.rpc.simulation.calls import Caller, LocalCaller
from node.rpc.simulation.messages import Setup as CallSetup
from node.rpc.simulation.pool import CallPool
from node.sealed import SealedBlocks
from node.spec.chain import Chain
from node.spec.errors import InvalidBlock
from node.spec.seal import CycleVerifier
from node.spec.state import State
from node.spec.types import Block, Header, Transaction
from node.spec.vm import fast
from node.spec.vm.context import InferRuntimeError
from node.spec.vm.frame import Interpret
from node.store import ChainStore
from node.work import Hashrates, WorkDesk, WorkPackage
from node.worker.client import ImportWorker
from node.worker.messages import Setup

CLIENT_VERSION = "farmctl/0.1.0/python"


@dataclass(frozen=True)
class NodeState:
    """What the node is doing, for people."""

    chain: str
    head: Header
    pending_transactions: int
    balance_wei: int
    blocked: str


class BlockImporter(Protocol):
    """`Importer`, here or in a process of its own."""

    def add(self, block: Block) -> Outcome: ...

    def add_all(self, blocks: Sequence[Block]) -> Imported: ...

    def retry(self) -> int: ...

    @property
    def stalled(self) -> int: ...

    def close(self) -> None: ...


class Node:
    """``engine`` computes inferences, ``verify_cycle`` checks Cuckaroo cycles, ``interpret`` runs
    contracts; blocks and calls have processes of their own where ``apart`` is set. Of so many
    blocks below the head (``keep_states``; 0: of all) the state is kept."""

    def __init__(
        self,
        chain: Chain,
        home: Path,
        loader: GraphLoader,
        engine: InferEngine,
        coinbase: bytes,
        verify_cycle: CycleVerifier,
        clock: Callable[[], float] = time.time,
        limits: PoolLimits | None = None,
        interpret: Interpret = fast.interpret,
        rpc: RpcSettings | None = None,
        apart: bool = False,
        keep_states: int = 0,
    ) -> None:
        self.chain = chain
        self.home = home
        self.coinbase = coinbase
        self.loader = loader
        self.store = ChainStore(home / "chain")
        limits = limits or PoolLimits()
        self.gas_price = GasPriceOracle(self.store, limits.minimum_gas_price_wei)
        self.inference = Inference(loader, engine)
        self.interpret = interpret
        self.index = ModelIndex(chain, self.state_at, self.store.meta_addresses)
        executor = Executor(chain, self.store, self.inference, verify_cycle, interpret, self.index)
        calling = self.inference.at(Urgency.CALL)
        self.store.begin(chain.name, executor.genesis())
        self.pruner = self.store.pruner(keep_states)
        self.scores = ScoreBook(self.store, chain.chain_id)
        self.likeness = LikenessDesk(self.store, self.index, loader.storage)
        self.index.build(self.head())
        self.sealed = SealedBlocks(self.store)
        self.mempool = Mempool(chain, limits)
        self.importer: BlockImporter = Importer(chain, self.store, executor, clock, self._follow)
        if apart:
            setup = Setup(home / "chain", chain, verify_cycle, interpret)
            self.importer = ImportWorker(setup, self.store, self.inference, clock, self._follow)
        building = self.inference.at(Urgency.BUILD)
        self.producer = Producer(executor, self.mempool, coinbase, clock, building)
        self.prerunner = Prerunner(executor, self.mempool, self.inference, self.producer.begin)
        self.desk = WorkDesk(chain, verify_cycle)
        self.hashrates = Hashrates()
        self.rpc = rpc or RpcSettings()
        self.calls: Caller = LocalCaller(self.store, self.state_at, chain, calling, interpret)
        if apart:
            call_setup = CallSetup(home / "chain", chain, interpret)
            self.calls = CallPool(call_setup, calling, self.rpc.call_workers, self.rpc.call_seconds)
        self.filters = Filters(self.rpc.max_filters, self.rpc.filter_seconds)
        self.peer_board = PeerBoard()
        self.blocked = ""
        self._listeners: list[Callable[[], None]] = []
        self._building = threading.Lock()
        self._restore_pending()

    def close(self) -> None:
        self.calls.close()
        self.importer.close()
        self.inference.close()
        self.pruner.close()
        self.store.close()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call back (from any thread) after a new head or a new transaction."""
        self._listeners.append(listener)

    def head(self) -> Header:
        return self.store.head_header()

    def header_at(self, number: int) -> Header | None:
        block_hash = self.store.canonical_hash(number)
        return self.store.header(block_hash) if block_hash else None

    def state_at(self, header: Header) -> State:
        """State after a block; what is written to it goes nowhere. Raises `StatePruned`."""
        oldest = self.store.oldest_state()
        if header.number < oldest:
            raise StatePruned(
                f"state of block {header.number} is pruned; this node keeps those from block "
                f"{oldest} on; ask an archive node, or set [node] keep_states"
            )
        return State(Overlay(self.store), header.state_root)

    def send(self, transaction: Transaction) -> None:
        """Take a transaction into the mempool and onto the disk. Raises `TransactionRefused`."""
        head = self.head()
        state = self.state_at(head)
        pushed = self.mempool.add(transaction, state, head.gas_limit, head.number + 1)
        self.store.keep_pending(transaction)
        if pushed:
            self.store.drop_pending(pushed)
        self._tell()

    def import_block(self, block: Block) -> Outcome:
        """Raises `InvalidBlock`, `InferRuntimeError` or `StoreError`; then nothing changed."""
        outcome = self.importer.add(block)
        if outcome is Outcome.SIDE:
            self.producer.note_side(block.header)
        return outcome

    def import_blocks(self, blocks: Sequence[Block]) -> Imported:
        """Blocks in order, parents first, as a peer gives them. Raises `StoreError`; what came
        before the failure is in."""
        return self.importer.add_all(blocks)

    def refresh_work(self) -> WorkPackage:
        """Build a block on the head from the mempool and offer it to miners."""
        with self._building:
            template = self.producer.build(self.head())
            self.blocked = template.blocked
            self._drop(template.impossible)
            return self.desk.offer(template.block)

    def run_ahead(self) -> bool:
        """Have some inferences of waiting transactions computed; whether there are more."""
        return self.prerunner.step(self.head())

    def submit(self, seal_hash: bytes, nonce: int, edges: tuple[int, ...]) -> Block:
        """Judge a miner's solution and import the block. Raises `SubmissionRefused`, or
        `StoreError`: then the same solution may be sent again."""
        block = self.desk.seal(seal_hash, nonce, edges)
        try:
            self.import_sealed(block)
        except StoreError:
            self.desk.reopen(seal_hash, nonce)
            raise
        return block

    def import_sealed(self, block: Block) -> None:
        """Import a block made here. Raises `SubmissionRefused` or `StoreError`."""
        try:
            self.import_block(block)
        except InvalidBlock as error:
            raise SubmissionRefused(
                SubmissionReason.INVALID, f"the sealed block cannot be imported: {error}"
            ) from error
        except InferRuntimeError:
            self.sealed.keep(block)  # the importer has it until an engine answers, or a restart

    def resume(self) -> None:
        """After a start: take up the blocks that were sealed here and waited for inference."""
        self.sealed.resume(self.import_block)

    def retry(self) -> None:
        """Try the blocks that wait for their time or for inference."""
        if self.importer.retry():
            self.sealed.settle()

    def status(self) -> NodeState:
        head = self.head()
        balance = self.state_at(head).get_balance(self.coinbase)
        return NodeState(self.chain.name, head, len(self.mempool), balance, self._waiting())

    def _waiting(self) -> str:
        stalled = self.importer.stalled
        return f"{stalled} blocks wait for inference" if stalled else self.blocked

    def _follow(self, change: HeadChange) -> None:
        """Bring index and mempool after the chain: what left it may come back."""
        self.index.follow(self.head(), change.adopted, change.abandoned)
        for block in change.adopted if len(self.mempool) else ():
            self.mempool.remove(t.hash() for t in block.transactions)
        for block in change.abandoned:
            self._readmit([t for t in block.transactions if not self.store.location(t.hash())])
            self.producer.note_side(block.header)
        dead = self.mempool.prune(self.state_at(self.head()))
        self._drop(dead)
        self._tell()

    def _drop(self, hashes: Sequence[bytes]) -> None:
        if hashes:
            self.mempool.remove(hashes)
            self.store.drop_pending(hashes)

    def _restore_pending(self) -> None:
        waiting = self.store.pending()
        self._readmit(sorted(waiting, key=lambda t: t.nonce))

    def _readmit(self, transactions: list[Transaction]) -> None:
        head = self.head()
        state = self.state_at(head)
        gone: list[bytes] = []
        for transaction in transactions:
            try:
                gone += self.mempool.add(
                    transaction, state, head.gas_limit, head.number + 1, returns=True
                )
            except TransactionRefused as refused:
                if refused.reason is not RefusalReason.ALREADY_KNOWN:
                    gone.append(transaction.hash())
        self._drop(gone)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
