"""Executing a whole block and holding it to its header (cortex-protocol §2)."""

from __future__ import annotations

from node.spec.chain import Chain
from node.spec.errors import InvalidBlock, InvalidTransaction, Reason
from node.spec.state import State
from node.spec.transition import (
    BlockHashes,
    BlockTransition,
    Totals,
    block_context,
    transactions_root,
)
from node.spec.types import Block, Header, Receipt, uncles_hash
from node.spec.vm import Infer, fast
from node.spec.vm.context import Usable, know_nothing
from node.spec.vm.frame import Interpret


def quota_to_import(header: Header) -> int:
    """Bytes that an existing block's transactions may upload; negative: none, not even 0."""
    return header.quota - header.quota_used


def verify_body(block: Block) -> None:
    """Raise `InvalidBlock` unless the header commits to these transactions and uncles."""
    if uncles_hash(block.uncles) != block.header.uncles_hash:
        raise InvalidBlock(Reason.BAD_UNCLES_HASH)
    if transactions_root(block.transactions) != block.header.transactions_root:
        raise InvalidBlock(Reason.BAD_TRANSACTIONS_ROOT)


def apply_block(
    chain: Chain,
    parent: Header,
    block: Block,
    state: State,
    infer: Infer,
    block_hash: BlockHashes,
    interpret: Interpret = fast.interpret,
    usable: Usable = know_nothing,
) -> list[Receipt]:
    """Execute a block on its parent's state and check all that its header says of it.

    The header itself and the uncles are `node.spec.header`'s to verify. Raises `InvalidBlock`,
    or `InferRuntimeError`; the state is then to be thrown away.
    """
    verify_body(block)
    quota = quota_to_import(block.header)
    if quota < 0:
        raise InvalidBlock(Reason.BAD_QUOTA, "more is used than there is")
    context = block_context(chain, block.header, block_hash, usable)
    transition = BlockTransition(context, state, infer, quota, interpret)
    for index, transaction in enumerate(block.transactions):
        try:
            transition.apply(transaction)
        except InvalidTransaction as error:
            raise InvalidBlock(error.reason, f"transaction {index}: {error}") from error
    _compare(block.header, transition.finish(parent, block.uncles))
    return transition.receipts


def _compare(header: Header, totals: Totals) -> None:
    for holds, reason in (
        (header.gas_used == totals.gas_used, Reason.BAD_GAS_USED),
        (header.bloom == totals.bloom, Reason.BAD_BLOOM),
        (header.receipts_root == totals.receipts_root, Reason.BAD_RECEIPTS_ROOT),
        (header.state_root == totals.state_root, Reason.BAD_STATE_ROOT),
    ):
        if not holds:
            raise InvalidBlock(reason, f"block {header.number}")
