"""Filters and queries for logs: each thing once, also where the chain changes its branch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.core import Node
from node.rpc.errors import InvalidParams, ResourceNotFound, ServerError
from node.rpc.filters import Filter, FilterKind, Filters
from node.rpc.registry import find_methods
from node.spec.transition import created_address
from tests.node.workshop import OTHER_MINER, POOR, RICH, Clock, mine, open_node, sign

#: Logs what it is called with, under the topic 1: CALLDATACOPY, LOG1.
LOGGER = bytes.fromhex("3660006000376001366000a100")
TOPIC = "0x" + (1).to_bytes(32, "big").hex()


def ask(node: Node, method: str, *params: Any) -> Any:
    return find_methods()[method].call(node, list(params))


def deploy(node: Node, clock: Clock) -> str:
    """The logger, in a block."""
    size = len(LOGGER)
    start = bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3])
    node.send(sign(0, None, data=start + LOGGER))
    mine(node, clock)
    return "0x" + created_address(RICH, 0).hex()


@pytest.fixture
def rival(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    """Another node, whose branch may become the longer one."""
    opened = open_node(tmp_path / "rival", clock, OTHER_MINER)
    yield opened
    opened.close()


def overtake(node: Node, rival: Node, clock: Clock) -> None:
    """The rival's branch becomes the node's."""
    for _ in range(4):
        node.import_block(mine(rival, clock))
        if node.head() == rival.head():
            return
    raise AssertionError("the node did not follow")


def test_a_log_comes_once_and_again_as_removed(node: Node, rival: Node, clock: Clock) -> None:
    address = deploy(node, clock)
    rival.import_block(node.store.block(node.head().hash()))  # type: ignore[arg-type]
    ident = ask(node, "eth_newFilter", {"address": address, "topics": [TOPIC]})
    call = sign(1, bytes.fromhex(address[2:]), data=b"hello")
    node.send(call)
    mine(node, clock)
    (entry,) = ask(node, "eth_getFilterChanges", ident)
    assert (entry["data"], entry["removed"]) == ("0x" + b"hello".hex(), False)
    assert ask(node, "eth_getFilterChanges", ident) == []
    overtake(node, rival, clock)
    assert ask(node, "eth_getFilterChanges", ident) == [{**entry, "removed": True}]
    mine(node, clock)  # the transaction has come back to the mempool
    (again,) = ask(node, "eth_getFilterChanges", ident)
    assert again["transactionHash"] == entry["transactionHash"]
    assert not again["removed"] and again["blockHash"] != entry["blockHash"]
    assert ask(node, "eth_getFilterLogs", ident) == [again]


def test_a_block_filter_follows_the_branch(node: Node, rival: Node, clock: Clock) -> None:
    ident = ask(node, "eth_newBlockFilter")
    first = mine(node, clock)
    assert ask(node, "eth_getFilterChanges", ident) == ["0x" + first.hash().hex()]
    overtake(node, rival, clock)
    hashes = [node.store.canonical_hash(n) for n in (1, 2)]
    assert ask(node, "eth_getFilterChanges", ident) == ["0x" + (h or b"").hex() for h in hashes]


def test_a_filter_of_transactions_tells_each_once(node: Node, clock: Clock) -> None:
    node.send(sign(0))
    ident = ask(node, "eth_newPendingTransactionFilter")
    sent = [sign(1), sign(2)]
    for transaction in sent:
        node.send(transaction)
    assert ask(node, "eth_getFilterChanges", ident) == ["0x" + t.hash().hex() for t in sent]
    assert ask(node, "eth_getFilterChanges", ident) == []
    with pytest.raises(InvalidParams):
        ask(node, "eth_getFilterLogs", ident)


def test_a_filter_keeps_to_the_blocks_it_was_given(node: Node, clock: Clock) -> None:
    address = deploy(node, clock)
    query = {"address": address, "fromBlock": "0x3", "toBlock": "0x3"}
    ident = ask(node, "eth_newFilter", query)
    for nonce in (1, 2, 3):
        node.send(sign(nonce, bytes.fromhex(address[2:]), data=b"x"))
        mine(node, clock)
    changes = ask(node, "eth_getFilterChanges", ident)
    assert [entry["blockNumber"] for entry in changes] == ["0x3"]
    assert ask(node, "eth_getLogs", query) == changes


def test_logs_are_found_by_address_topic_and_block(node: Node, clock: Clock) -> None:
    address = deploy(node, clock)
    node.send(sign(1, bytes.fromhex(address[2:]), data=b"x"))
    block = mine(node, clock)
    everything = {"fromBlock": "earliest", "toBlock": "0xffff"}
    found: list[dict[str, Any]] = [
        {},
        {"address": address},
        {"address": ["0x" + POOR.hex(), address]},
        {"topics": [TOPIC]},
        {"topics": [None]},
        {"topics": [[TOPIC, "0x" + "00" * 32]]},
        {"topics": [[TOPIC, None]]},
        {"topics": []},
    ]
    missed: list[dict[str, Any]] = [
        {"address": "0x" + POOR.hex()},
        {"topics": ["0x" + "00" * 32]},
        {"topics": [TOPIC, None]},
        {"toBlock": "0x1"},
    ]
    for query in found:
        assert len(ask(node, "eth_getLogs", {**everything, **query})) == 1, query
    for query in missed:
        assert ask(node, "eth_getLogs", {**everything, **query}) == [], query
    by_hash = {"blockHash": "0x" + block.hash().hex()}
    assert len(ask(node, "eth_getLogs", by_hash)) == 1
    with pytest.raises(ResourceNotFound):
        ask(node, "eth_getLogs", {"blockHash": "0x" + "00" * 32})
    with pytest.raises(InvalidParams):
        ask(node, "eth_getLogs", {**by_hash, "fromBlock": "0x1"})


def test_an_answer_over_its_bounds_is_an_error(node: Node, clock: Clock) -> None:
    address = deploy(node, clock)
    for nonce in (1, 2):
        node.send(sign(nonce, bytes.fromhex(address[2:]), data=b"x"))
    mine(node, clock)
    everything = {"fromBlock": "earliest"}
    assert len(ask(node, "eth_getLogs", everything)) == 2
    node.rpc = replace(node.rpc, max_logs=1)
    with pytest.raises(ServerError, match="more than 1"):
        ask(node, "eth_getLogs", everything)
    node.rpc = replace(node.rpc, max_log_blocks=2)
    with pytest.raises(ServerError, match="spans 2 blocks"):
        ask(node, "eth_getLogs", everything)


class TestFilters:
    def test_the_one_idle_longest_goes_for_a_new_one(self) -> None:
        filters = Filters(2, 10.0, lambda: 0.0)
        first, second = (filters.open(Filter(FilterKind.BLOCKS)) for _ in range(2))
        assert filters.get(first)
        filters.open(Filter(FilterKind.BLOCKS))
        assert filters.get(first) and not filters.get(second)

    def test_one_that_nobody_asks_for_is_closed(self) -> None:
        now = 0.0
        filters = Filters(2, 10.0, lambda: now)
        ident = filters.open(Filter(FilterKind.BLOCKS))
        now = 9.0
        assert filters.get(ident)
        now = 20.0
        assert not filters.get(ident)
        assert not filters.close(ident)

    def test_another_process_gives_other_names(self) -> None:
        idents = {Filters(2, 10.0).open(Filter(FilterKind.BLOCKS)) for _ in range(5)}
        assert len(idents) == 5
