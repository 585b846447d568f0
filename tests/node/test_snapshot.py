"""Beginning at a block: a state in a file, held against its block's hash in full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from farmctl.cycles import verify_cycle
from node.core import Node
from node.errors import BlockFileError, StatePruned, StoreError
from node.snapshot import SnapshotHead, export_state, import_state
from node.spec import rlp
from node.spec.errors import InvalidBlock, Reason
from node.store.check import check
from tests.node.test_pruning import CONTRACTS, World, pruner_of, run
from tests.node.walks import count_nodes
from tests.node.workshop import CHAIN, MINER, OTHER_MINER, POOR, RICH, Clock, mine, open_node, sign

AT = 24


@pytest.fixture
def world(node: Node, clock: Clock) -> World:
    opened = World(node, clock)
    opened.deploy()
    opened.live(30)
    return opened


@pytest.fixture
def fresh(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    opened = open_node(tmp_path / "fresh", clock, OTHER_MINER)
    yield opened
    opened.close()


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "state.rlp"
    export_state(world.node.store, path, AT)
    return path


@dataclass(frozen=True)
class Made:
    """A file of a state, and its block's hash."""

    raw: bytes
    block_hash: bytes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder, clock = tmp_path_factory.mktemp("made"), Clock()
    node = open_node(folder / "node", clock)
    world = World(node, clock)
    world.deploy()
    world.live(AT)
    export_state(node.store, folder / "state.rlp", AT)
    found = Made((folder / "state.rlp").read_bytes(), block_hash(node, AT))
    node.close()
    return found


def block_hash(node: Node, number: int) -> bytes:
    found = node.store.canonical_hash(number)
    assert found is not None
    return found


def begin(fresh: Node, file: Path, trusted: bytes | None) -> SnapshotHead:
    return import_state(fresh.store, fresh.chain, file, verify_cycle, trusted)


@pytest.mark.parametrize("name", ["state.rlp", "state.rlp.gz"])
def test_a_chain_begins_at_a_block_and_goes_on(
    world: World, tmp_path: Path, clock: Clock, name: str
) -> None:
    source, path = world.node, tmp_path / name
    trusted = block_hash(source, AT)
    header = source.store.header(trusted)
    assert header is not None
    counts: list[int] = []
    nodes = export_state(source.store, path, AT, counts.append)
    assert nodes == counts[-1] == count_nodes(source.store, header.state_root)

    first = open_node(tmp_path / "other", clock, OTHER_MINER)
    assert begin(first, path, trusted).number == AT
    first.close()
    other = open_node(tmp_path / "other", clock, OTHER_MINER)
    assert other.head() == header
    assert other.store.total_difficulty(trusted) == source.store.total_difficulty(trusted)
    for number in range(AT + 1, source.head().number + 1):
        other.import_block(source.store.need_block(block_hash(source, number)))
    assert other.head() == source.head()
    for address in (RICH, POOR, MINER, *CONTRACTS):
        ours, theirs = (n.state_at(n.head()).account(address) for n in (source, other))
        assert ours == theirs
    mined = mine(other, clock, 3)
    for number in range(mined.header.number - 2, mined.header.number + 1):
        source.import_block(other.store.need_block(block_hash(other, number)))
    assert source.head() == mined.header
    other.close()
    check(tmp_path / "other" / "chain")


def test_what_is_before_the_beginning_says_so(world: World, fresh: Node, file: Path) -> None:
    begin(fresh, file, block_hash(world.node, AT))
    late = world.node.store.need_block(block_hash(world.node, AT - 1))
    earlier = fresh.store.header(late.hash())
    assert earlier == late.header
    with pytest.raises(StatePruned, match=f"keeps those from block {AT} on"):
        fresh.state_at(late.header)
    assert fresh.header_at(AT - 10) is None
    side = replace(late, header=replace(late.header, extra=b"another"))
    with pytest.raises(InvalidBlock) as refusal:
        fresh.import_block(side)
    assert refusal.value.reason is Reason.BRANCH_TOO_DEEP


def test_a_beginning_can_be_passed_on(
    world: World, fresh: Node, file: Path, tmp_path: Path, clock: Clock
) -> None:
    trusted = block_hash(world.node, AT)
    begin(fresh, file, trusted)
    again = tmp_path / "again.rlp"
    export_state(fresh.store, again, AT)
    assert again.read_bytes() == file.read_bytes()


def test_a_hash_must_vouch_for_it(made: Made, fresh: Node, tmp_path: Path) -> None:
    file = tmp_path / "state.rlp"
    file.write_bytes(made.raw)
    with pytest.raises(BlockFileError, match=f"has no checkpoint at block {AT}: name the hash"):
        begin(fresh, file, None)
    with pytest.raises(BlockFileError, match=f"block {AT} of the file is"):
        begin(fresh, file, b"\1" * 32)
    checked = replace(CHAIN, checkpoints={AT: made.block_hash})
    import_state(fresh.store, checked, file, verify_cycle)
    assert fresh.head().number == AT


def test_a_home_with_blocks_is_not_overwritten(
    made: Made, fresh: Node, tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "state.rlp").write_bytes(made.raw)
    mine(fresh, clock)
    with pytest.raises(StoreError, match="there are blocks here already"):
        begin(fresh, tmp_path / "state.rlp", made.block_hash)


def test_states_that_are_not_kept_are_not_written(world: World, tmp_path: Path) -> None:
    store = world.node.store
    for number in (0, 99):
        with pytest.raises(StoreError, match=f"block {number} is not kept here"):
            export_state(store, tmp_path / "x", number)
    run(pruner_of(world.node))
    with pytest.raises(StatePruned, match="states are kept from block"):
        export_state(store, tmp_path / "x", 5)
    assert list(tmp_path.glob("x*")) == []


Items = list[bytes]


def split(raw: bytes) -> Items:
    items = []
    while raw:
        _, end = rlp.decode_prefix(raw)
        items.append(raw[:end])
        raw = raw[end:]
    return items


def tag(item: bytes) -> bytes:
    return rlp.decode_bytes(rlp.decode_list(rlp.decode(item))[0])


def without(kind: bytes, place: int) -> Callable[[Items], Items]:
    def change(items: Items) -> Items:
        found = [i for i, item in enumerate(items) if i and tag(item) == kind]
        return [item for i, item in enumerate(items) if i != found[place]]

    return change


def other_total(items: Items) -> Items:
    head = SnapshotHead.decode(items[0])
    return [replace(head, number=head.number + 1).encode(), *items[1:]]


def other_node(items: Items) -> Items:
    raw = bytearray(items[-1])
    raw[-1] ^= 1
    return [*items[:-1], bytes(raw)]


FORGERIES: dict[str, tuple[Callable[[Items], Items], str]] = {
    "a node is missing": (without(b"n", 3), "lacks its node"),
    "the root is missing": (without(b"n", 0), "lacks its node"),
    "a node is another": (other_node, "lacks its node"),
    "the last block is missing": (without(b"b", -1), "its last block is another"),
    "a block is missing": (without(b"b", 2), "does not follow the one before"),
    "a header is missing": (without(b"h", 0), "look back at are not in it"),
    "another number": (other_total, "no checkpoint|look back|last block|not in it"),
    "an unknown item": (lambda i: [*i, rlp.encode([b"x", b"y"])], "no known kind"),
    "an address of no model": (lambda i: [*i, rlp.encode([b"m", RICH])], "no model or input at"),
    "no file of a state": (lambda i: [rlp.encode([b"other"])], "no file of a state"),
    "an empty file": (lambda i: [], "no file of a state"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_state_is_refused(made: Made, fresh: Node, tmp_path: Path, name: str) -> None:
    change, message = FORGERIES[name]
    (tmp_path / "forged").write_bytes(b"".join(change(split(made.raw))))
    with pytest.raises(BlockFileError, match=message):
        begin(fresh, tmp_path / "forged", made.block_hash)
    assert fresh.head().number == 0
    assert fresh.store.oldest_state() == 0


def test_a_cut_file_is_refused_and_the_whole_one_then_taken(
    made: Made, fresh: Node, tmp_path: Path
) -> None:
    file = tmp_path / "cut"
    for size in (10, len(made.raw) // 3, len(made.raw) - 1):
        file.write_bytes(made.raw[:size])
        with pytest.raises(BlockFileError, match="ends too early"):
            begin(fresh, file, made.block_hash)
    file.write_bytes(made.raw)
    assert begin(fresh, file, made.block_hash).number == AT


def test_a_transaction_of_the_last_blocks_is_found(
    world: World, fresh: Node, tmp_path: Path, clock: Clock
) -> None:
    node = world.node
    node.send(sign(world.nonce, value=7))
    block = mine(node, clock)
    sent = block.transactions[-1]
    path = tmp_path / "late.rlp"
    export_state(node.store, path, block.header.number)
    begin(fresh, path, block.hash())
    where = fresh.store.location(sent.hash())
    assert where is not None and where.block_hash == block.hash()
    assert len(fresh.store.receipts(block.hash())) == len(block.transactions)
