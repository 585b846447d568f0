"""Blocks out of a damaged database: what is proved comes back, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from node.blockfile import import_salvaged
from node.errors import StoreDamaged
from node.spec.types import Block
from node.store.recovery import DATA
from node.store.salvage import salvage
from tests.node.workshop import OTHER_MINER, Clock, mine, open_node, sign

BLOCKS = 30


class Damaged:
    """The file of a chain's database, and the chain."""

    def __init__(self, folder: Path) -> None:
        clock = Clock()
        node = open_node(folder / "node", clock)
        other = open_node(folder / "other", clock, OTHER_MINER)
        for nonce in range(BLOCKS):
            node.send(sign(nonce, value=1, data=bytes(9_000) if nonce == 7 else b"", gas=200_000))
            mine(node, clock)
        for _ in range(3):
            node.import_block(mine(other, clock))
        hashes = [node.store.canonical_hash(n) or b"" for n in range(BLOCKS + 1)]
        self.genesis = hashes[0]
        self.blocks = [node.store.need_block(key) for key in hashes[1:]]
        node.close()
        other.close()
        self.raw = (folder / "node" / "chain" / DATA).read_bytes()


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Damaged:
    return Damaged(tmp_path_factory.mktemp("damaged"))


def carve(damaged: Damaged, raw: bytes, folder: Path) -> list[Block]:
    path = folder / "carved"
    path.write_bytes(raw)
    try:
        return list(salvage(path, damaged.genesis))
    except StoreDamaged as error:
        assert "no block after genesis can be proved" in str(error)
        return []


def test_all_of_a_whole_file_comes_back(damaged: Damaged, tmp_path: Path) -> None:
    assert carve(damaged, damaged.raw, tmp_path) == damaged.blocks
    without_metas = bytes(2 * 4096) + damaged.raw[2 * 4096 :]
    assert carve(damaged, without_metas, tmp_path) == damaged.blocks


def test_of_a_damaged_file_a_beginning_comes_back(damaged: Damaged, tmp_path: Path) -> None:
    chance = random.Random(3)
    lengths = []
    for _ in range(12):
        raw = bytearray(damaged.raw[: chance.randrange(len(damaged.raw) // 2, len(damaged.raw))])
        for _ in range(chance.randint(0, 3)):
            at = chance.randrange(0, len(raw) - 4096)
            raw[at : at + 4096] = chance.randbytes(4096)
        found = carve(damaged, bytes(raw), tmp_path)
        assert found == damaged.blocks[: len(found)]
        lengths.append(len(found))
    assert max(lengths) > BLOCKS // 2
    assert carve(damaged, bytes(8 * 4096), tmp_path) == []


def test_a_new_database_is_made_of_them(damaged: Damaged, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "torn").write_bytes(bytes(2 * 4096) + damaged.raw[2 * 4096 :])
    torn = salvage(tmp_path / "torn", damaged.genesis)
    clock.now += 10_000
    node = open_node(tmp_path / "new", clock, OTHER_MINER)
    count = import_salvaged(node, torn)
    assert count == node.head().number == BLOCKS
    assert node.head() == damaged.blocks[count - 1].header
    mine(node, clock)
    node.close()
