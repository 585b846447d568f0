"""The index by address: it says what the state says, at each head and on each branch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.core import Node
from node.execution import Executor
from node.models.index import ModelIndex, read_entry
from node.spec.meta import ModelMeta
from node.spec.types import Block
from tests.node.test_inference import Published
from tests.node.workshop import OTHER_MINER, Clock, mine, open_node, verify_cycle


@pytest.fixture
def published(tmp_path: Path, clock: Clock) -> Iterator[Published]:
    made = Published(tmp_path / "node", clock)
    made.publish()
    yield made
    made.node.close()


def block_at(node: Node, number: int) -> Block:
    block = node.store.block(node.store.canonical_hash(number) or b"")
    assert block is not None
    return block


def agrees_with_state(node: Node) -> bool:
    state = node.state_at(node.head())
    addresses = node.store.meta_addresses()
    return all(node.index.find(a) == read_entry(state, a) for a in addresses)


def test_the_index_follows_the_head_and_is_built_again_at_a_start(
    published: Published, tmp_path: Path
) -> None:
    assert len(published.node.index) == 2
    assert agrees_with_state(published.node)
    published.node.close()
    published.node = open_node(tmp_path / "node", published.clock)
    assert len(published.node.index) == 2
    assert agrees_with_state(published.node)


def test_an_upload_is_seen_block_by_block(tmp_path: Path, clock: Clock) -> None:
    other = Published(tmp_path / "first", clock)
    other.publish()
    node = open_node(tmp_path / "second", clock)
    seen = []
    for number in range(1, other.node.head().number + 1):
        node.loader.storage.put_model(*other.node.loader.storage.read_model(model_hash(other)))
        node.import_block(block_at(other.node, number))
        assert agrees_with_state(node)
        entry = node.index.find(other.model)
        seen.append(entry.upload > 0 if entry else None)
    assert seen[0] is True and seen[-1] is False
    node.close()
    other.node.close()


def model_hash(published: Published) -> bytes:
    entry = published.node.index.find(published.model)
    assert entry is not None
    return entry.meta.hash


def test_a_reorganisation_takes_models_away_and_brings_them_back(
    published: Published, tmp_path: Path, clock: Clock
) -> None:
    """A longer branch without the model, then the old one made the longest again."""
    node = published.node
    length = node.head().number
    rival = open_node(tmp_path / "rival", clock, OTHER_MINER)
    mine(rival, clock, length + 1)
    for number in range(1, length + 2):
        node.import_block(block_at(rival, number))
    assert node.head() == rival.head()
    assert node.index.find(published.model) is None
    assert len(node.index) == 0

    mine(node, clock, 1)  # what left the chain is sent again
    mine(node, clock, 3)
    assert agrees_with_state(node)
    rival.close()


def test_a_view_speaks_at_its_own_head_alone(published: Published) -> None:
    node, model = published.node, published.model
    head = node.head()
    view = node.index.view(head, head.number + 1)
    assert isinstance(view(model), ModelMeta)
    mine(node, published.clock)
    assert view(model) is None
    assert node.index.view(head, head.number + 1)(model) is None
    assert node.index.view(node.head(), head.number + 2)(model) is not None


def test_a_view_gives_nothing_that_is_not_ripe(published: Published) -> None:
    node = published.node
    entry = node.index.find(published.model)
    assert entry is not None
    ripe = entry.ripe_block(node.chain)
    assert ripe is not None
    assert node.index.view(node.head(), ripe - 1)(published.model) is None
    assert node.index.view(node.head(), ripe)(published.model) is entry.meta


def test_blocks_execute_alike_with_and_without_the_index(published: Published) -> None:
    """A block with INFER, executed again by one who knows no model but from the state."""
    node = published.node
    published.send(published.contract)
    parent = node.head()
    sent = node.refresh_work().block
    plain = Executor(node.chain, node.store, node.inference, verify_cycle, node.interpret)
    mine(node, published.clock)
    block = block_at(node, node.head().number)
    assert block.transactions == sent.transactions
    without = plain.execute(block, parent)
    stored = node.store.receipts(block.hash())
    assert [r.encode() for r in without.receipts] == [r.encode() for r in stored]
    assert without.receipts[0].succeeded


def test_metadata_without_a_block_number_is_never_answered_by_a_view(
    published: Published,
) -> None:
    """Such an account may be registered anew within a block."""
    node = published.node
    head = node.head()
    entry = node.index.find(published.model)
    assert entry is not None
    state = node.state_at(head)
    code = entry.meta.encode()
    blank = ModelMeta.decode(code)
    state.begin_transaction()
    fields = {name: getattr(blank, name) for name in ModelMeta.__dataclass_fields__}
    state.set_code(published.model, ModelMeta(**{**fields, "block_num": 0}).encode())
    index = ModelIndex(node.chain, lambda _: state, lambda: [published.model])
    index.build(head)
    assert index.find(published.model) is not None
    assert index.view(head, head.number + 5)(published.model) is None


def test_an_index_that_stands_elsewhere_is_built_again(published: Published) -> None:
    """As after a batch of blocks that was undone: what it knew may never have been."""
    node = published.node
    index = ModelIndex(node.chain, node.state_at, node.store.meta_addresses)
    newest = block_at(node, node.head().number)
    index.follow(node.head(), [newest], [])
    assert index.find(published.model) == node.index.find(published.model)
    assert len(index) == 2
