"""What must hold of a node's home after a kill: the store whole, and every promise kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.kill_miners import MINER, Promises
from node.spec.bloom import merge_blooms
from node.spec.trie import ordered_root
from node.spec.types import Block, Header
from node.store import ChainStore
from node.stratum.found import FoundBlocks
from node.stratum.shares import ShareLedger

CHECK_SECONDS = 300.0


def check_home(home: Path, promises: Promises) -> int:
    """The height. Raises `RuntimeError` saying what is lost or broken."""
    read_whole(home / "chain")
    store = ChainStore(home / "chain")
    try:
        seen = check_chain(store)
        check_blocks(home, store, promises)
        pending = {transaction.hash() for transaction in store.pending()}
        need(promises.sent.keys() <= pending | seen, "a transaction that was taken is lost")
        check_shares(home, store, promises)
        return store.head_header().number
    finally:
        store.close()


def read_whole(folder: Path) -> None:
    """Every entry and the head's state, as the node itself does after a loss of power."""
    done = subprocess.run(
        [sys.executable, "-m", "node.store.check", str(folder)],
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
        check=False,
    )
    need(done.returncode == 0, f"the store is damaged: {done.stdout}{done.stderr}")


def check_chain(store: ChainStore) -> set[bytes]:
    """Hashes of the canonical chain's transactions, each of which is in it once."""
    head = store.head_header()
    parent, seen = store.canonical_hash(0), set[bytes]()
    for number in range(1, head.number + 1):
        block = store.block(store.canonical_hash(number) or b"")
        need(block is not None, f"block {number} is missing")
        assert block is not None
        need(block.header.parent_hash == parent, f"block {number} follows no parent")
        check_results(store, block)
        hashes = {transaction.hash() for transaction in block.transactions}
        need(not hashes & seen, f"a transaction of block {number} is in the chain twice")
        seen |= hashes
        parent = block.hash()
    need(parent == head.hash(), "the head is not the last block")
    return seen


def check_results(store: ChainStore, block: Block) -> None:
    """Receipts as the header has them, and the index of transactions."""
    number, receipts = block.header.number, store.receipts(block.hash())
    root = ordered_root([receipt.encode() for receipt in receipts])
    need(root == block.header.receipts_root, f"the receipts of block {number} are others")
    bloom = merge_blooms(receipt.bloom for receipt in receipts)
    need(bloom == block.header.bloom, f"the bloom of block {number} is another")
    for index, transaction in enumerate(block.transactions):
        where = store.location(transaction.hash())
        is_here = where is not None and (where.block_hash, where.index) == (block.hash(), index)
        need(is_here, f"transaction {index} of block {number} is not found by its hash")


def check_blocks(home: Path, store: ChainStore, promises: Promises) -> None:
    """Confirmed blocks are in the store; of those found at the pool also beside it, where the
    next start finds them."""
    for block_hash in promises.hashes:
        need(store.block(block_hash) is not None, "a block that was confirmed is lost")
    headers = [Header.decode(raw) for _, raw in store.records("headers")]
    headers += [block.header for _, block in FoundBlocks(home / "stratum").read()]
    known = {(header.seal_hash(), header.nonce_int()) for header in headers}
    need(promises.sealed <= known, "a block that a miner found is lost")


def check_shares(home: Path, store: ChainStore, promises: Promises) -> None:
    """Each accepted share counts once; those that were not answered may count or not."""
    account = bytes.fromhex(MINER[2:])
    work = ShareLedger(store, home / "stratum").weights().get(account, 0)
    need(work >= promises.work, f"{promises.work - work} of the shares' work is lost")
    extra = work - promises.work
    need(extra <= promises.unanswered, f"{extra} of the shares' work is counted twice")


def need(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(what)
