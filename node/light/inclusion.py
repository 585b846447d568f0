"""Blocks and transactions of full nodes, proven against the headers kept here.

`LightStore` answers what the JSON-RPC asks of a full node's `node.store.ChainStore`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from node.light.errors import FeedLies, FeedUseless
from node.light.feed import Feed, Json
from node.light.feeds import Feeds
from node.light.headers import HeaderChain
from node.rpc.errors import InvalidParams
from node.rpc.forms import parse_bytes, parse_hash, parse_quantity
from node.spec.proof import InvalidProof, read_item
from node.spec.rlp import RlpError
from node.spec.transition import transactions_root
from node.spec.trie import ordered_root
from node.spec.types import Block, Header, Receipt, Transaction, uncles_hash
from node.store import Location

#: Whole blocks that are remembered.
MAX_BLOCKS = 64


@dataclass(frozen=True)
class Executed:
    """A block whose transactions, uncles and receipts are those that its header commits to."""

    block: Block
    receipts: list[Receipt]


class LightStore:
    """Safe for several threads. Raises `NoAnswer` where no feed shows what is asked."""

    def __init__(self, headers: HeaderChain, feeds: Feeds, counts_from_genesis: bool) -> None:
        self._headers, self._feeds = headers, feeds
        self._counts_from_genesis = counts_from_genesis
        self._blocks: OrderedDict[bytes, Executed] = OrderedDict()
        self._lock = threading.Lock()

    def header(self, block_hash: bytes) -> Header | None:
        return self._headers.header(block_hash)

    def canonical_hash(self, number: int) -> bytes | None:
        return self._headers.hash_at(number)

    def total_difficulty(self, block_hash: bytes) -> int | None:
        """None from a checkpoint on: what came before it is not known."""
        return self._headers.total_difficulty(block_hash) if self._counts_from_genesis else None

    def block(self, block_hash: bytes) -> Block | None:
        executed = self._executed(block_hash)
        return executed.block if executed else None

    def receipts(self, block_hash: bytes) -> list[Receipt]:
        executed = self._executed(block_hash)
        return executed.receipts if executed else []

    def location(self, transaction_hash: bytes) -> Location | None:
        """On the best chain; None where a feed knows of none, of which there is no proof."""
        what = f"transaction 0x{transaction_hash.hex()}"
        return self._feeds.ask(what, lambda feed: self._locate(feed, transaction_hash))

    def _locate(self, feed: Feed, transaction_hash: bytes) -> Location | None:
        told = feed.transaction_proof(transaction_hash)
        if told is None:
            return None
        header, index = self._place(told)
        if _proven_transaction(header, index, told).hash() != transaction_hash:
            raise FeedLies("it proves another transaction than the one asked for")
        return Location(header.hash(), index)

    def _place(self, told: Json) -> tuple[Header, int]:
        try:
            header = self.header(parse_hash(told.get("blockHash")))
            index = parse_quantity(told.get("transactionIndex"))
        except InvalidParams as error:
            raise FeedLies(f"a place that is none: {error}") from error
        if header is None or self.canonical_hash(header.number) != header.hash():
            raise FeedUseless("the block is not on the chain of headers that is kept here")
        return header, index

    def _executed(self, block_hash: bytes) -> Executed | None:
        with self._lock:
            known = self._blocks.get(block_hash)
        header = self.header(block_hash)
        if known is not None or header is None:
            return known
        found = self._feeds.ask(f"block {header.number}", lambda feed: _fetch(feed, header))
        with self._lock:
            self._blocks[block_hash] = found
            while len(self._blocks) > MAX_BLOCKS:
                self._blocks.popitem(last=False)
        return found


def _proven_transaction(header: Header, index: int, told: Json) -> Transaction:
    try:
        nodes = [parse_bytes(node) for node in told.get("transactionProof") or []]
        raw = read_item(header.transactions_root, index, nodes)
        receipt_nodes = [parse_bytes(node) for node in told.get("receiptProof") or []]
        receipt = read_item(header.receipts_root, index, receipt_nodes)
        if raw is None or receipt is None:
            raise FeedLies("its proof shows that there is no such transaction")
        return Transaction.decode(raw)
    except (InvalidProof, RlpError, InvalidParams, TypeError) as error:
        raise FeedLies(f"no proof of the transaction: {error}") from error


def _fetch(feed: Feed, header: Header) -> Executed:
    block, receipts = feed.block(header.hash())
    if block.header.hash() != header.hash():
        raise FeedLies(f"another block than {header.number} as asked")
    if transactions_root(block.transactions) != header.transactions_root:
        raise FeedLies(f"other transactions than those of block {header.number}")
    if uncles_hash(block.uncles) != header.uncles_hash:
        raise FeedLies(f"other uncles than those of block {header.number}")
    if ordered_root([r.encode() for r in receipts]) != header.receipts_root:
        raise FeedLies(f"other receipts than those of block {header.number}")
    return Executed(block, receipts)
