"""Block 0 of a network."""

from __future__ import annotations

from node.spec.chain import Chain, Genesis
from node.spec.crypto import EMPTY_ROOT, EMPTY_UNCLES_HASH
from node.spec.state import State
from node.spec.trie import NodeStore
from node.spec.types import EMPTY_BLOOM, Block, Header


def genesis_block(chain: Chain, store: NodeStore) -> Block:
    """The genesis block; its state is written into the store."""
    return Block(genesis_header(chain.genesis, store, chain.proof_size))


def genesis_header(genesis: Genesis, store: NodeStore, proof_size: int = 42) -> Header:
    state = State(store)
    for address, wei in genesis.alloc.items():
        state.set_balance(address, wei)
    return Header(
        parent_hash=bytes(32),
        uncles_hash=EMPTY_UNCLES_HASH,
        coinbase=genesis.coinbase,
        state_root=state.root(),
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        bloom=EMPTY_BLOOM,
        difficulty=genesis.difficulty,
        number=0,
        gas_limit=genesis.gas_limit,
        gas_used=0,
        timestamp=genesis.timestamp,
        extra=genesis.extra,
        mix_hash=bytes(32),
        nonce=genesis.nonce,
        solution=(0,) * proof_size,
        quota=genesis.quota,
        quota_used=0,
        supply=genesis.supply,
    )
