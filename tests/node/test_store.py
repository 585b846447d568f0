"""The chain's database: one transaction a block, and what a killed process leaves behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import StoreError, StoreFull, WrongChain
from node.spec import rlp
from node.spec.crypto import keccak
from node.spec.types import Account, Block, Header, Log, Receipt, Transaction
from node.store import ChainStore, Executed

BLANK = Header(
    parent_hash=bytes(32),
    uncles_hash=bytes(32),
    coinbase=bytes(20),
    state_root=bytes(32),
    transactions_root=bytes(32),
    receipts_root=bytes(32),
    bloom=bytes(256),
    difficulty=2,
    number=0,
    gas_limit=8_000_000,
    gas_used=0,
    timestamp=0,
    extra=b"",
    mix_hash=bytes(32),
    nonce=bytes(8),
    solution=(0,) * 42,
    quota=0,
    quota_used=0,
    supply=0,
)


def transaction(nonce: int) -> Transaction:
    return Transaction(nonce, 1, 21_000, b"\1" * 20, 5, b"", 27, 1, 1)


def executed(parent: Executed | None, extra: bytes = b"", transactions: int = 0) -> Executed:
    """A block whose state is one leaf, named by its root."""
    number = parent.block.header.number + 1 if parent else 0
    account = Account(balance=number)
    node = rlp.encode([b"\x20" + keccak(extra), account.encode()])
    header = replace(
        BLANK,
        parent_hash=parent.block.hash() if parent else bytes(32),
        number=number,
        state_root=keccak(node),
        extra=extra,
    )
    sent = tuple(transaction(number * 1000 + i) for i in range(transactions))
    receipts = tuple(
        Receipt(True, 21_000, bytes(256), (Log(b"\2" * 20, (b"\3" * 32,), b"x"),)) for _ in sent
    )
    total = (parent.total_difficulty if parent else 0) + 2
    return Executed(
        Block(header, sent), receipts, total, {keccak(node): node}, {b"\4" * 20: number + 1}
    )


@pytest.fixture
def store(tmp_path: Path) -> ChainStore:
    return ChainStore(tmp_path / "chain")


def test_everything_of_a_block_comes_back(store: ChainStore) -> None:
    genesis = executed(None)
    store.begin("test", genesis)
    first = executed(genesis, transactions=3)
    store.add(first, adopt=[first.block.hash()])

    key = first.block.hash()
    assert store.head() == key
    assert store.head_header() == first.block.header
    assert store.block(key) == first.block
    assert store.receipts(key) == first.receipts
    assert store.total_difficulty(key) == 4
    assert store.canonical_hash(1) == key
    assert store.calls(key) == {b"\4" * 20: 2}
    assert store.get(first.block.header.state_root) is not None
    where = store.location(first.block.transactions[2].hash())
    assert where is not None and (where.block_hash, where.index) == (key, 2)


def test_a_side_block_changes_no_index(store: ChainStore) -> None:
    genesis = executed(None)
    store.begin("test", genesis)
    side = executed(genesis, b"side", transactions=1)
    store.add(side)
    assert store.block(side.block.hash()) == side.block
    assert store.canonical_hash(1) is None
    assert store.head() == genesis.block.hash()
    assert store.location(side.block.transactions[0].hash()) is None


def test_an_abandoned_block_gives_its_transactions_back(store: ChainStore) -> None:
    genesis = executed(None)
    store.begin("test", genesis)
    old = executed(genesis, b"old", transactions=2)
    store.add(old, adopt=[old.block.hash()])
    side = executed(genesis, b"new")
    store.add(side)
    tip = executed(side)
    store.add(tip, adopt=[side.block.hash(), tip.block.hash()], abandon=[old.block.hash()])

    assert store.canonical_hash(1) == side.block.hash()
    assert store.canonical_hash(2) == tip.block.hash()
    assert store.location(old.block.transactions[0].hash()) is None
    assert {t.hash() for t in store.pending()} == {t.hash() for t in old.block.transactions}


def test_calls_and_models_follow_the_branch(store: ChainStore) -> None:
    """Also back again, and where both branches create a model at one address."""
    model, at_both, at_left = b"\4" * 20, b"\5" * 20, b"\6" * 20
    genesis = executed(None)
    store.begin("test", genesis)
    assert store.count_calls(model) == 1
    left = replace(executed(genesis, b"left"), calls={model: 7}, metas=(at_both, at_left))
    right = replace(executed(genesis, b"right"), calls={model: 20}, metas=(at_both,))
    heavier = replace(executed(right), calls={model: 300}, metas=(b"\7" * 20,))
    heaviest = [executed(left, b"again"), executed(left, b"again")]
    heaviest[1] = executed(heaviest[0])
    store.add(left, adopt=[left.block.hash()])
    assert store.count_calls(model) == 8
    assert store.meta_addresses() == [at_both, at_left]

    store.add(right)
    right_hashes = [right.block.hash(), heavier.block.hash()]
    store.add(heavier, adopt=right_hashes, abandon=[left.block.hash()])
    assert store.count_calls(model) == 321
    assert store.meta_addresses() == [at_both, b"\7" * 20]
    assert store.calls(left.block.hash()) == {model: 7}, "what a block did stays known"

    store.add(heaviest[0])
    back = [left.block.hash(), *(b.block.hash() for b in heaviest)]
    store.add(heaviest[1], adopt=back, abandon=right_hashes)
    assert store.count_calls(model) == 1 + 7 + 3 + 4
    assert store.meta_addresses() == [at_both, at_left]


def test_a_database_of_before_gets_its_heights(tmp_path: Path) -> None:
    store = ChainStore(tmp_path)
    genesis = executed(None)
    store.begin("test", genesis)
    first = executed(genesis)
    store.add(first, adopt=[first.block.hash()])
    known = store.records("heights")
    store.change(lambda records: records.clear("heights"))
    store.begin("test", genesis)
    assert store.records("heights") == known and len(known) == 2
    store.close()


def test_pending_transactions_survive_and_leave_with_their_block(tmp_path: Path) -> None:
    store = ChainStore(tmp_path / "chain")
    genesis = executed(None)
    store.begin("test", genesis)
    first = executed(genesis, transactions=1)
    store.keep_pending(first.block.transactions[0])
    store.keep_pending(transaction(7))
    store.close()

    again = ChainStore(tmp_path / "chain")
    assert len(again.pending()) == 2
    again.add(first, adopt=[first.block.hash()])
    assert again.pending() == [transaction(7)]


def test_another_chain_is_refused(store: ChainStore) -> None:
    store.begin("one", executed(None))
    with pytest.raises(WrongChain, match="holds chain one, not two"):
        store.begin("two", executed(None, b"two"))


def test_an_empty_database_has_no_head(store: ChainStore) -> None:
    with pytest.raises(StoreError, match="empty"):
        store.head_header()


def test_the_map_grows_and_then_says_that_it_is_full(tmp_path: Path) -> None:
    store = ChainStore(tmp_path / "chain", map_bytes=1 << 20, map_limit_bytes=4 << 20)
    genesis = executed(None)
    store.begin("test", genesis)
    big = replace(executed(genesis), nodes={keccak(b"a"): bytes(1 << 20)})
    store.add(big, adopt=[big.block.hash()])
    assert store.head() == big.block.hash()

    huge = replace(executed(big), nodes={keccak(b"b"): bytes(4 << 20)})
    with pytest.raises(StoreFull, match="bound"):
        store.add(huge, adopt=[huge.block.hash()])
    assert store.head() == big.block.hash()
    assert store.canonical_hash(2) is None


WRITER = """
import sys
from pathlib import Path
from tests.node.test_store import executed
from node.store import ChainStore, Executed
store = ChainStore(Path(sys.argv[1]))
store.begin("test", executed(None))
block = store.block(store.head())
last = Executed(block, (), store.total_difficulty(block.hash()))
print("ready", flush=True)
while True:
    last = executed(last, transactions=20)
    store.add(last, adopt=[last.block.hash()])
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_chain(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    moments = random.Random(20260)
    height = 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.02, 0.15))
            writer.send_signal(signal.SIGKILL)
        height = check_whole(path, height)
    assert height > 0


def check_whole(path: Path, at_least: int) -> int:
    """Every block up to the head is there with all its parts, and nothing beyond."""
    store = ChainStore(path)
    head = store.head_header()
    assert head.number >= at_least
    parent = bytes(32)
    for number in range(head.number + 1):
        key = store.canonical_hash(number)
        assert key is not None
        block = store.block(key)
        assert block is not None and block.header.parent_hash == parent
        assert len(store.receipts(key)) == len(block.transactions)
        assert store.total_difficulty(key) == 2 * (number + 1)
        assert store.get(block.header.state_root) is not None
        for index, sent in enumerate(block.transactions):
            where = store.location(sent.hash())
            assert where is not None and (where.block_hash, where.index) == (key, index)
        parent = key
    assert store.canonical_hash(head.number + 1) is None
    assert store.head() == parent
    store.close()
    return head.number


LIMITED = """
import resource, sys
from pathlib import Path
from node.errors import StoreError
from node.store import ChainStore
from tests.node.test_store import executed
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = ChainStore(Path(sys.argv[1]))
last = executed(None)
store.begin("test", last)
limit = 2 << 20
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
while True:
    following = executed(last, transactions=200)
    try:
        store.add(following, adopt=[following.block.hash()])
    except StoreError as error:
        print(error)
        break
    last = following
assert store.head() == last.block.hash()
assert store.block(last.block.hash()) == last.block
"""


def test_a_full_disk_stops_the_block_and_nothing_else(tmp_path: Path) -> None:
    """The operating system refuses to let the file grow, as it does on a full disk."""
    path = tmp_path / "chain"
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "free disk space" in ended.stdout
    assert check_whole(path, 1) >= 1


def test_a_batch_is_one_transaction_that_sees_itself(tmp_path: Path) -> None:
    store = ChainStore(tmp_path)
    genesis = executed(None)
    store.begin("tiny", genesis)
    first = executed(genesis)

    def add_two() -> None:
        store.add(first, adopt=[first.block.hash()])
        assert store.head_header() == first.block.header
        with ThreadPoolExecutor(1) as other:
            assert other.submit(store.head_header).result() == genesis.block.header
        second = executed(first)
        store.add(second, adopt=[second.block.hash()])

    store.batch(add_two)
    assert store.head_header().number == 2

    def fail() -> None:
        third = executed(executed(first))
        store.add(third, adopt=[third.block.hash()])
        raise ValueError

    with pytest.raises(ValueError):
        store.batch(fail)
    assert store.head_header().number == 2
    store.close()


def test_a_batch_is_done_again_where_the_map_has_to_grow(tmp_path: Path) -> None:
    store = ChainStore(tmp_path, map_bytes=1 << 18)
    genesis = executed(None)
    store.begin("tiny", genesis)
    runs: list[int] = []

    def add_many() -> int:
        runs.append(0)
        last = genesis
        for _ in range(300):
            last = executed(last, transactions=5)
            store.add(last, adopt=[last.block.hash()])
        return last.block.header.number

    assert store.batch(add_many) == 300
    assert len(runs) > 1
    assert store.head_header().number == 300
    store.close()
