"""Blocks into files and back: the same chain, whatever comes between, and every damage named."""

from __future__ import annotations

import gzip
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from node.blockfile import (
    MAX_BLOCK_BYTES,
    ImportCount,
    export_blocks,
    import_blocks,
    read_blocks,
)
from node.core import Node
from node.errors import BlockFileError, StoreError
from node.spec.types import Block
from node.store import ChainStore
from tests.node.workshop import OTHER_MINER, Clock, mine, open_node, sign

MAINNET_BLOCK = Path(__file__).parent / "spec" / "mainnet_6839772.hex"


@pytest.fixture
def grown(node: Node, clock: Clock) -> Node:
    for nonce in range(6):
        node.send(sign(nonce, value=1))
        mine(node, clock, 2)
    return node


@pytest.fixture
def fresh(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    opened = open_node(tmp_path / "fresh", clock, OTHER_MINER)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", ["chain.rlp", "chain.rlp.gz"])
def test_a_chain_goes_through_a_file(grown: Node, fresh: Node, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    seen: list[int] = []
    assert export_blocks(grown.store, path, 0, 12, seen.append) == 13
    assert seen == list(range(13))
    assert import_blocks(fresh, path, seen.append) == ImportCount(12, 0)
    assert seen[-1] == 12
    assert fresh.head() == grown.head()
    assert import_blocks(fresh, path) == ImportCount(0, 12), "all are known by now"
    assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []


def test_the_file_is_one_block_after_another(grown: Node, tmp_path: Path) -> None:
    path = tmp_path / "some.rlp"
    export_blocks(grown.store, path, 3, 5)
    blocks = [grown.store.block(grown.store.canonical_hash(n) or b"") for n in (3, 4, 5)]
    assert path.read_bytes() == b"".join(b.encode() for b in blocks if b)


def test_it_goes_on_where_it_was_interrupted(grown: Node, fresh: Node, tmp_path: Path) -> None:
    first, whole = tmp_path / "first.rlp", tmp_path / "whole.rlp"
    export_blocks(grown.store, first, 1, 7)
    export_blocks(grown.store, whole, 1, 12)
    import_blocks(fresh, first)
    assert import_blocks(fresh, whole) == ImportCount(5, 7)
    assert fresh.head() == grown.head()


def test_a_gap_is_named(grown: Node, fresh: Node, tmp_path: Path) -> None:
    path = tmp_path / "later.rlp"
    export_blocks(grown.store, path, 4, 6)
    with pytest.raises(BlockFileError, match=r"block 4 at byte 0: its parent .* head is block 0"):
        import_blocks(fresh, path)


def test_a_missing_block_cannot_be_exported(grown: Node, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="block 13 is not kept"):
        export_blocks(grown.store, tmp_path / "x.rlp", 10, 13)
    assert list(tmp_path.glob("x.rlp*")) == []


def test_a_folder_that_is_not_there_is_named(grown: Node, fresh: Node, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x.rlp"
    with pytest.raises(BlockFileError, match=r"cannot write .*No such file"):
        export_blocks(grown.store, path, 0, 1)
    with pytest.raises(BlockFileError, match=r"cannot read .*No such file"):
        import_blocks(fresh, path)


def test_a_bad_block_is_named_and_what_came_before_is_in(
    grown: Node, fresh: Node, tmp_path: Path
) -> None:
    path = tmp_path / "chain.rlp"
    export_blocks(grown.store, path, 1, 12)
    offset = sum(p.size for p in itertools.islice(read_blocks(BytesIO(path.read_bytes())), 8))
    raw = bytearray(path.read_bytes())
    raw[offset + 3 + 40] ^= 1  # within the parent's hash or that of the uncles
    path.write_bytes(raw)
    with pytest.raises(BlockFileError, match=f"block 9 at byte {offset}: "):
        import_blocks(fresh, path)
    assert fresh.head().number == 8


def test_another_networks_genesis_is_refused(fresh: Node, tmp_path: Path) -> None:
    path = tmp_path / "mainnet.rlp"
    block = Block.decode(bytes.fromhex(MAINNET_BLOCK.read_text()))
    path.write_bytes(block.encode())
    with pytest.raises(BlockFileError, match="block 6839772 at byte"):
        import_blocks(fresh, path)
    path.write_bytes(Block(replace(block.header, number=0)).encode())
    with pytest.raises(BlockFileError, match="genesis of another network than tiny"):
        import_blocks(fresh, path)


def test_blocks_of_the_real_network_are_read() -> None:
    raw = bytes.fromhex(MAINNET_BLOCK.read_text())
    placed = list(read_blocks(BytesIO(raw * 3)))
    assert [p.offset for p in placed] == [0, len(raw), 2 * len(raw)]
    assert {p.block.header.number for p in placed} == {6_839_772}
    assert all(p.block.encode() == raw for p in placed)


DAMAGES = {
    "text": (b"hello", "block 0 of the file, at byte 0: byte 0x68 begins no list"),
    "cut in the length": (b"\xf9\x02", "at byte 0: the file ends within it"),
    "cut in the block": (b"\xf9\x02\xfe\xf9", "at byte 0: the file ends within it"),
    "huge": (b"\xff" + b"\xff" * 8, "bytes are no block"),
    "just too large": (
        b"\xfb" + (MAX_BLOCK_BYTES + 1).to_bytes(4, "big"),
        "bytes are no block",
    ),
    "another list": (b"\xc3\x01\x02\x03", "at byte 0: expected a list"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_no_block_is_named_with_its_place(name: str) -> None:
    raw, message = DAMAGES[name]
    with pytest.raises(BlockFileError, match=message):
        list(read_blocks(BytesIO(raw)))


def test_a_torn_archive_is_named(grown: Node, fresh: Node, tmp_path: Path) -> None:
    path = tmp_path / "chain.rlp.gz"
    export_blocks(grown.store, path, 1, 12)
    whole = path.read_bytes()
    for size in (0, 1, 12, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:size])
        if size:
            with pytest.raises(BlockFileError, match="of the file, at byte"):
                import_blocks(fresh, path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(BlockFileError, match="at byte 0: Not a gzipped file"):
        import_blocks(fresh, path)


def test_random_damage_ends_in_no_other_error(grown: Node, tmp_path: Path) -> None:
    path = tmp_path / "chain.rlp"
    export_blocks(grown.store, path, 0, 12)
    whole = path.read_bytes()
    chance = random.Random(7)
    refused = 0
    for _ in range(300):
        raw = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        try:
            assert b"".join(p.block.encode() for p in read_blocks(BytesIO(raw))) == raw
        except BlockFileError:
            refused += 1
    assert 0 < refused < 300


def test_an_archive_is_a_gzip_file(grown: Node, tmp_path: Path) -> None:
    export_blocks(grown.store, tmp_path / "a.rlp", 0, 12)
    export_blocks(grown.store, tmp_path / "a.rlp.gz", 0, 12)
    packed = gzip.decompress((tmp_path / "a.rlp.gz").read_bytes())
    assert packed == (tmp_path / "a.rlp").read_bytes()


READER = """
import sys
from pathlib import Path
from node.blockfile import export_blocks
from node.store import ChainStore
store = ChainStore(Path(sys.argv[1]), read_only=True)
print("ready", flush=True)
last = int(sys.stdin.readline())
print(export_blocks(store, Path(sys.argv[2]), 0, last))
"""


def test_a_chain_is_exported_while_its_node_goes_on(
    grown: Node, tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "all.rlp"
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path / "node" / "chain"), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
        last = mine(grown, clock, 3).header.number
        printed, _ = reader.communicate(f"{last}\n", timeout=30)
    assert int(printed) == last + 1
    assert path.read_bytes().endswith(grown.store.need_block(grown.head().hash()).encode())


def test_reading_a_chain_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no chain in"):
        ChainStore(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
