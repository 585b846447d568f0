"""What authors say of their models: forms, order, and the chain's index of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.chains.cortex import MAINNET
from node.core import Node
from node.models.errors import MalformedModel
from node.models.notices import (
    MAGIC,
    MAX_TEST_SETS,
    LabelledSet,
    Located,
    Notice,
    Offered,
    Replaces,
    Standing,
    Withdrawn,
    decode_notice,
    encode_notice,
    summarise,
)
from node.models.quote import quote
from node.spec import rlp
from node.spec.genesis import genesis_header
from node.spec.meta import InputMeta
from node.spec.trie import MemoryStore
from tests.node.workshop import OTHER_MINER, POOR, RICH, Clock, mine, open_node, sign

NOTICES: list[Notice] = [
    Withdrawn(),
    Withdrawn(b"s" * 20),
    Offered(),
    Replaces(b"p" * 20),
    Located("bafy" + "a" * 50),
    LabelledSet(b"i" * 20, b"l" * 20, "a hundred digits"),
]


@pytest.mark.parametrize("notice", NOTICES)
def test_each_form_there_and_back(notice: Notice) -> None:
    assert decode_notice(encode_notice(notice)) == notice


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC,
        MAGIC + b"\xff",
        MAGIC + rlp.encode([]),
        MAGIC + rlp.encode([b"sung"]),
        MAGIC + rlp.encode([b"withdrawn"]),
        MAGIC + rlp.encode([b"withdrawn", b"short"]),
        MAGIC + rlp.encode([b"located", b"\xff\xfe"]),
        MAGIC + rlp.encode([b"located", b"a" * 257]),
        MAGIC + rlp.encode([[b"offered"]]),
        rlp.encode([b"offered"]),
    ],
)
def test_nonsense_is_no_notice(data: bytes) -> None:
    with pytest.raises(MalformedModel):
        decode_notice(data)
    assert summarise([data]) == Standing()


def test_the_newest_word_holds() -> None:
    said = [encode_notice(each) for each in (Withdrawn(b"s" * 20), Offered(), Located("x"))]
    assert summarise(said) == Standing(cid="x")
    assert summarise([*said, encode_notice(Withdrawn())]) == Standing(is_withdrawn=True, cid="x")
    sets = [LabelledSet(bytes([i]) * 20, bytes(20)) for i in range(MAX_TEST_SETS + 3)]
    again = [*sets, sets[-2]]
    standing = summarise(encode_notice(each) for each in again)
    assert standing.test_sets == (*sets[3:-2], sets[-1], sets[-2])


def test_the_chain_keeps_them_by_model_and_speaker(
    node: Node, clock: Clock, tmp_path: Path
) -> None:
    """Also when blocks leave the chain and their transactions come back."""
    words = [encode_notice(Withdrawn()), encode_notice(Offered())]
    for nonce, data in enumerate([*words, b"no notice"]):
        node.send(sign(nonce, POOR, data=data))
    assert len(mine(node, clock).transactions) == 3
    assert node.store.notices(POOR, RICH) == words
    assert node.store.notices(POOR, POOR) == node.store.notices(RICH, RICH) == []
    other = open_node(tmp_path / "other", clock, OTHER_MINER)
    for _ in range(2):
        node.import_block(mine(other, clock))
    other.close()
    assert node.head().coinbase == OTHER_MINER
    assert node.store.notices(POOR, RICH) == []
    assert len(mine(node, clock).transactions) == 3
    assert node.store.notices(POOR, RICH) == words


def test_the_storage_fee_of_the_main_network() -> None:
    """A model of 100 MiB: 200 uploads, and the quota lets one through each eighth block."""
    chain = MAINNET
    head = replace(genesis_header(chain.genesis, MemoryStore()), quota=2**20)
    meta = InputMeta(b"", bytes(20), 100 * 2**20, (1,), 0)
    told = quote(chain, head, meta, 10**9)
    assert (told.uploads, told.upload_gas) == (200, 200 * 277_777)
    assert told.price_wei == told.gas * 10**9
    # A step leaves twice its size free at its start: the first has that from before, and each of
    # the other 199 waits for eight blocks' quota, six of which come while it is seeded.
    uploading = 199 * 8 - chain.seeding_blocks
    assert told.blocks == chain.seeding_blocks + uploading + chain.mature_blocks
