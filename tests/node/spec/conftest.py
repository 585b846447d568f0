"""A real block, and a chain that a test can grow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.chains import find_chain
from node.spec.chain import Genesis
from node.spec.genesis import genesis_block
from node.spec.trie import MemoryStore
from node.spec.types import Block
from tests.node.spec.growing import SENDER, Farm


@pytest.fixture(scope="session")
def mainnet_block() -> Block:
    """Block 6,839,772, as published."""
    text = (Path(__file__).parent / "mainnet_6839772.hex").read_text()
    return Block.decode(bytes.fromhex("".join(text.split())))


@pytest.fixture
def farm() -> Farm:
    genesis = Genesis(
        nonce=bytes(8),
        extra=b"",
        difficulty=2,
        gas_limit=8_000_000,
        supply=0,
        alloc={SENDER: 10**24},
    )
    chain = replace(find_chain("farmnet"), genesis=genesis, edge_bits=12)
    store = MemoryStore()
    return Farm(chain, store, [genesis_block(chain, store)])
