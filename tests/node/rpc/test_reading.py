"""Methods that read: blocks, receipts, fees, the mempool, encodings, and blocks by tag."""

from __future__ import annotations

from typing import Any

import pytest

from node.core import Node
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.registry import find_methods
from node.spec.types import Block, Header, Receipt, Transaction
from tests.node.workshop import MINER, POOR, RICH, Clock, mine, sign


def ask(node: Node, method: str, *params: Any) -> Any:
    return find_methods()[method].call(node, list(params))


@pytest.fixture
def block(node: Node, clock: Clock) -> Block:
    """With three payments at prices from 5 to 20."""
    for nonce, price in enumerate((20, 10, 5)):
        node.send(sign(nonce, POOR, 1, price=price))
    return mine(node, clock)


def test_receipts_of_a_block_are_those_of_its_transactions(node: Node, block: Block) -> None:
    receipts = ask(node, "eth_getBlockReceipts", "latest")
    hashes = ["0x" + t.hash().hex() for t in block.transactions]
    assert receipts == [ask(node, "eth_getTransactionReceipt", h) for h in hashes]
    assert [r["effectiveGasPrice"] for r in receipts] == ["0x14", "0xa", "0x5"]
    assert receipts == ask(node, "eth_getBlockReceipts", "0x" + block.hash().hex())
    assert ask(node, "eth_getBlockReceipts", "0x99") is None


def test_encodings_decode_to_what_the_chain_holds(node: Node, block: Block) -> None:
    assert Block.decode(bytes.fromhex(ask(node, "debug_getRawBlock", 1))) == block
    header = bytes.fromhex(ask(node, "debug_getRawHeader", "latest")[2:])
    assert Header.decode(header) == block.header
    receipts = [bytes.fromhex(r[2:]) for r in ask(node, "debug_getRawReceipts", "0x1")]
    assert [Receipt.decode(r).cumulative_gas_used for r in receipts] == [21_000, 42_000, 63_000]
    for transaction in (*block.transactions, sign(3)):
        if transaction not in block.transactions:
            node.send(transaction)
        raw = ask(node, "eth_getRawTransactionByHash", "0x" + transaction.hash().hex())
        assert Transaction.decode(bytes.fromhex(raw[2:])) == transaction
    assert ask(node, "debug_getRawTransaction", "0x" + "00" * 32) is None


def test_fees_are_the_prices_paid(node: Node, clock: Clock, block: Block) -> None:
    mine(node, clock)
    history = ask(node, "eth_feeHistory", "0x5", "latest", [0, 50, 100])
    assert history["oldestBlock"] == "0x0"
    assert history["baseFeePerGas"] == ["0x0"] * 4
    assert history["gasUsedRatio"] == [0, 63_000 / block.header.gas_limit, 0]
    assert history["reward"] == [["0x0"] * 3, ["0x5", "0xa", "0x14"], ["0x0"] * 3]
    assert "reward" not in ask(node, "eth_feeHistory", 1, "0x1")
    assert ask(node, "eth_maxPriorityFeePerGas") == ask(node, "eth_gasPrice")
    for wrong in ([2, 1], [101], "x", [True]):
        with pytest.raises(InvalidParams):
            ask(node, "eth_feeHistory", "0x1", "latest", wrong)


def test_the_mempool_tells_what_can_go_and_what_waits(node: Node) -> None:
    for nonce in (0, 1, 5):
        node.send(sign(nonce, POOR, 7))
    assert ask(node, "txpool_status") == {"pending": "0x2", "queued": "0x1"}
    sender = "0x" + RICH.hex()
    content = ask(node, "txpool_content")
    assert list(content["pending"][sender]) == ["0", "1"]
    assert content["queued"][sender]["5"]["value"] == "0x7"
    assert ask(node, "txpool_contentFrom", sender)["queued"] == content["queued"][sender]
    assert ask(node, "txpool_contentFrom", "0x" + POOR.hex()) == {"pending": {}, "queued": {}}
    line = ask(node, "txpool_inspect")["pending"][sender]["0"]
    assert line == f"0x{POOR.hex()}: 7 wei + 100000 gas × 10 wei"


def test_a_block_is_found_by_tag_number_and_hash(node: Node, clock: Clock, block: Block) -> None:
    for tag, number in (("earliest", 0), ("safe", 0), ("finalized", 0), ("latest", 1)):
        assert ask(node, "eth_getBlockByNumber", tag)["number"] == hex(number)
        assert ask(node, "eth_getHeaderByNumber", tag)["number"] == hex(number)
    mine(node, clock, 20)
    assert ask(node, "eth_getBlockByNumber", "safe")["hash"] == "0x" + block.hash().hex()
    where = {"blockHash": "0x" + block.hash().hex(), "requireCanonical": True}
    assert ask(node, "eth_getBalance", "0x" + POOR.hex(), where) == "0x3"
    assert ask(node, "eth_getBalance", "0x" + POOR.hex(), "finalized") == "0x0"
    assert ask(node, "eth_getHeaderByHash", "0x" + "00" * 32) is None
    for wrong in ({}, {"blockNumber": "0x1", "blockHash": "0x"}, "0x" + "f" * 17, 1):
        with pytest.raises(InvalidParams):
            ask(node, "eth_getBalance", "0x" + POOR.hex(), wrong)
    with pytest.raises(ResourceNotFound):
        ask(node, "eth_getBalance", "0x" + POOR.hex(), "0x999")


def test_the_pending_block_is_the_one_that_is_mined_next(node: Node, clock: Clock) -> None:
    assert ask(node, "eth_getBlockByNumber", "pending") is None
    node.send(sign(0, POOR, 1))
    node.refresh_work()
    pending = ask(node, "eth_getBlockByNumber", "pending", True)
    assert (pending["number"], pending["hash"], pending["nonce"]) == ("0x1", None, None)
    (transaction,) = pending["transactions"]
    assert transaction["hash"] == "0x" + sign(0, POOR, 1).hash().hex()
    assert transaction["blockHash"] is None
    alone = ask(node, "eth_getTransactionByBlockNumberAndIndex", "pending", "0x0")
    assert alone == {**transaction, "transactionIndex": "0x0"}
    assert ask(node, "eth_getBlockTransactionCountByNumber", "pending") == "0x1"
    assert ask(node, "eth_getTransactionCount", "0x" + RICH.hex(), "pending") == "0x1"
    mine(node, clock)
    assert ask(node, "eth_getBlockByNumber", "latest")["miner"] == "0x" + MINER.hex()


def test_every_eth_method_has_its_name_in_this_networks_namespace() -> None:
    methods = find_methods()
    names = [name for name in methods if name.startswith("eth_")]
    assert len(names) > 40
    assert all(methods[f"ctxc_{name[4:]}"] is methods[name] for name in names)


def test_parameters_are_counted() -> None:
    method = find_methods()["eth_getBalance"]
    for params in ([], ["0x", "latest", "more"]):
        with pytest.raises(InvalidParams, match="expected 1 to 2 parameters"):
            method.call(None, params)
