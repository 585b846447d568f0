"""Executing a block on its parent: every rule of `node.spec` put together over the store."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from node.inference import CountedInference
from node.models.index import ModelIndex
from node.overlay import Overlay
from node.spec.block import apply_block, quota_to_import
from node.spec.chain import Chain
from node.spec.errors import InvalidBlock, InvalidHeader, InvalidTransaction, Reason
from node.spec.genesis import genesis_block
from node.spec.header import UNCLE_GENERATIONS, verify_header, verify_uncles
from node.spec.meta import is_input, is_model
from node.spec.seal import CycleVerifier, is_sealed
from node.spec.state import State
from node.spec.transition import BlockTransition, block_context
from node.spec.types import Block, Header, Receipt, Transaction
from node.spec.vm import fast
from node.spec.vm.context import Infer, InferRuntimeError, Usable, know_nothing
from node.spec.vm.frame import Interpret
from node.store import ChainStore, Executed

#: BLOCKHASH reaches this far back.
HASH_GENERATIONS = 256
#: A state is read afresh after so many blocks, fewer than any node keeps states of,
WARM_BLOCKS = 64
#: or so many nodes written, which bounds its memory.
WARM_NODES = 50_000
EXPLORE_SECONDS = 1.0


class Headers(Protocol):
    """Where headers lie, by their hash."""

    def header(self, block_hash: bytes) -> Header | None: ...


class Ancestry:
    """Hashes of a block's ancestors by number, read as they are asked for."""

    def __init__(self, store: Headers, parent: Header) -> None:
        self._store = store
        self._hashes = {parent.number: parent.hash()}
        self._oldest = parent

    def __call__(self, number: int) -> bytes:
        """The ancestor's hash; zeros where there is none."""
        while number < self._oldest.number and self._step():
            pass
        return self._hashes.get(number, bytes(32))

    def _step(self) -> bool:
        header = self._store.header(self._oldest.parent_hash)
        if header is None or len(self._hashes) >= HASH_GENERATIONS:
            return False
        self._oldest = header
        self._hashes[header.number] = header.hash()
        return True


class WarmState:
    """A state that goes on from block to block, with what it has read in memory."""

    def __init__(self, store: ChainStore, root: bytes) -> None:
        self.root = root
        self._overlay = Overlay(store)
        self.state = State(self._overlay, root)
        self._blocks = self._nodes = 0

    def begin(self) -> dict[bytes, bytes]:
        """For another block; what it writes will be in here."""
        self._overlay.nodes = {}
        return self._overlay.nodes

    def end(self, root: bytes) -> bool:
        """After the block; whether to go on with it."""
        self.root = root
        self._blocks += 1
        self._nodes += len(self._overlay.nodes)
        return self._blocks < WARM_BLOCKS and self._nodes < WARM_NODES


class Executor:
    """``interpret`` runs the code of contracts; ``index`` knows models without the state."""

    def __init__(
        self,
        chain: Chain,
        store: ChainStore,
        infer: Infer,
        verify_cycle: CycleVerifier,
        interpret: Interpret = fast.interpret,
        index: ModelIndex | None = None,
    ) -> None:
        self.chain = chain
        self.store = store
        self.infer = infer
        self._verify_cycle = verify_cycle
        self.interpret = interpret
        self.index = index
        self._warm: WarmState | None = None

    def genesis(self) -> Executed:
        overlay = Overlay(self.store)
        block = genesis_block(self.chain, overlay)
        return Executed(block, (), block.header.difficulty, overlay.nodes)

    def usable(self, parent: Header, number: int) -> Usable:
        """What is known without the state to block ``number`` on ``parent``."""
        return know_nothing if self.index is None else self.index.view(parent, number)

    def verify_seal(self, chain: Chain, header: Header) -> bool:
        return is_sealed(chain, header, self._verify_cycle)

    def check_seal(self, header: Header) -> None:
        """Raises `InvalidHeader`."""
        if not self.verify_seal(self.chain, header):
            raise InvalidHeader(Reason.BAD_SEAL, f"block {header.number}")

    def execute(self, block: Block, parent: Header) -> Executed:
        """Validate a block fully and execute it. Nothing is written. Raises `InvalidBlock`, or
        `InferRuntimeError` where an inference has no answer now."""
        verify_header(self.chain, block.header, parent, None, self.verify_seal)
        self.verify_uncles(block)
        warm, self._warm = self._warm, None
        if warm is not None and warm.root == parent.state_root:
            try:
                return self._run(block, parent, warm)
            except InvalidBlock:
                pass  # what is at fault, the block or what was kept, a fresh state shows
        return self._run(block, parent, WarmState(self.store, parent.state_root))

    def _run(self, block: Block, parent: Header, warm: WarmState) -> Executed:
        state, nodes = warm.state, warm.begin()
        infer = CountedInference(self.infer)
        receipts = apply_block(
            self.chain,
            parent,
            block,
            state,
            infer,
            Ancestry(self.store, parent),
            self.interpret,
            self.usable(parent, block.header.number),
        )
        total = (self.store.total_difficulty(parent.hash()) or 0) + block.header.difficulty
        metas = find_metas(block, receipts, state)
        if warm.end(block.header.state_root):
            self._warm = warm
        return Executed(block, tuple(receipts), total, nodes, infer.calls, metas)

    def explore(self, blocks: Iterable[Block]) -> None:
        """Execute what can be of blocks that wait for inference, one upon the other, for the
        sake of what else they ask for; nothing comes of it."""
        state: State | None = None
        deadline = time.monotonic() + EXPLORE_SECONDS
        for block in blocks:
            if state is None:
                parent = self.store.header(block.header.parent_hash)
                if parent is None:
                    return
                state = State(Overlay(self.store), parent.state_root)
            context = block_context(self.chain, block.header, lambda number: bytes(32))
            quota = max(0, quota_to_import(block.header))
            transition = BlockTransition(context, state, self.infer, quota, self.interpret)
            for transaction in block.transactions:
                self._try(transition, transaction, state)
                if time.monotonic() > deadline:
                    return

    def _try(self, transition: BlockTransition, transaction: Transaction, state: State) -> None:
        try:
            transition.apply(transaction)
        except InferRuntimeError:
            # The sender's next may ask for something as well.
            state.set_nonce(transaction.sender(self.chain), transaction.nonce + 1)
        except InvalidTransaction:
            pass

    def verify_uncles(self, block: Block) -> None:
        """Raises `InvalidBlock`."""
        if block.uncles:
            ancestors = self.ancestors(block.header.parent_hash, UNCLE_GENERATIONS)
            verify_uncles(self.chain, block, ancestors, self.verify_seal)

    def ancestors(self, block_hash: bytes, count: int) -> list[Block]:
        """A block and those before it, newest first; fewer near genesis."""
        found: list[Block] = []
        while len(found) < count and (block := self.store.block(block_hash)):
            found.append(block)
            block_hash = block.header.parent_hash
        return found


def find_metas(block: Block, receipts: Sequence[Receipt], state: State) -> tuple[bytes, ...]:
    """Addresses of the model and input accounts that a block created."""
    created = [
        receipt.contract_address
        for transaction, receipt in zip(block.transactions, receipts, strict=True)
        if transaction.to is None and receipt.succeeded and receipt.contract_address
    ]
    codes = ((address, state.get_code(address)) for address in created)
    return tuple(address for address, code in codes if is_model(code) or is_input(code))
