"""Executing a block on its parent: every rule of `node.spec` put together over the store."""

from __future__ import annotations

from collections.abc import Sequence

from node.inference import CountedInference
from node.models.index import ModelIndex
from node.overlay import Overlay
from node.spec.block import apply_block, quota_to_import
from node.spec.chain import Chain
from node.spec.errors import InvalidHeader, InvalidTransaction, Reason
from node.spec.genesis import genesis_block
from node.spec.header import UNCLE_GENERATIONS, verify_header, verify_uncles
from node.spec.meta import is_input, is_model
from node.spec.seal import CycleVerifier, is_sealed
from node.spec.state import State
from node.spec.transition import BlockTransition, block_context
from node.spec.types import Block, Header, Receipt
from node.spec.vm import fast
from node.spec.vm.context import Infer, InferRuntimeError
from node.spec.vm.frame import Interpret
from node.store import ChainStore, Executed

#: BLOCKHASH reaches this far back.
HASH_GENERATIONS = 256


class Ancestry:
    """Hashes of a block's ancestors by number, read as they are asked for."""

    def __init__(self, store: ChainStore, parent: Header) -> None:
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
        self.index = index or ModelIndex(chain)

    def genesis(self) -> Executed:
        overlay = Overlay(self.store)
        block = genesis_block(self.chain, overlay)
        return Executed(block, (), block.header.difficulty, overlay.nodes)

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
        overlay = Overlay(self.store)
        state = State(overlay, parent.state_root)
        infer = CountedInference(self.infer)
        receipts = apply_block(
            self.chain,
            parent,
            block,
            state,
            infer,
            Ancestry(self.store, parent),
            self.interpret,
            self.index.view(parent, block.header.number),
        )
        total = (self.store.total_difficulty(parent.hash()) or 0) + block.header.difficulty
        metas = find_metas(block, receipts, state)
        return Executed(block, tuple(receipts), total, overlay.nodes, infer.calls, metas)

    def explore(self, block: Block) -> None:
        """Execute what can be of a block that waits for inference, for the sake of what else it
        asks for; nothing comes of it."""
        parent = self.store.header(block.header.parent_hash)
        if parent is None:
            return
        state = State(Overlay(self.store), parent.state_root)
        context = block_context(self.chain, block.header, Ancestry(self.store, parent))
        quota = max(0, quota_to_import(block.header))
        transition = BlockTransition(context, state, self.infer, quota, self.interpret)
        for transaction in block.transactions:
            try:
                transition.apply(transaction)
            except InferRuntimeError:
                # The sender's next may ask for something as well.
                state.set_nonce(transaction.sender(self.chain), transaction.nonce + 1)
            except InvalidTransaction:
                continue

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
