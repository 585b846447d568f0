"""Contents are fetched before they are asked for: a real node's blocks, and a node of lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.chains.cortex import DOLORES
from node.models.input_file import write_input
from node.models.storage.combined import CombinedStorage
from node.models.storage.directory import DirectoryStorage
from node.models.storage.folder import FolderSource
from node.peers.errors import PeerError
from node.peers.rpc_caller import RpcCaller
from node.spec.meta import InputMeta, ModelMeta
from node.synapse.fetching import ContentMissing, Fetcher
from node.synapse.figures import Figures
from node.synapse.following import Follower, find_created
from node.synapse.journal import Journal, Place, Wanted
from tests.node.rpc.running import run_service
from tests.node.synapse.scripted import Scripted
from tests.node.workshop import AUTHOR, dense_model, sign

INPUT = write_input(np.array([[1, 2, 3, 4, 5, 6]], np.int8))
PRICE = 200_000


def model_meta(infohash: bytes, size: int = 1000) -> bytes:
    return ModelMeta(b"", infohash, size, (1, 6), (3,), 100, AUTHOR, 0).encode()


def input_meta(infohash: bytes, size: int = 200) -> bytes:
    return InputMeta(b"", infohash, size, (1, 6), 0).encode()


@dataclass
class Site:
    """A folder of another node, and a storage that takes from it."""

    theirs: DirectoryStorage
    ours: CombinedStorage
    fetcher: Fetcher
    figures: Figures = field(default_factory=Figures)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    theirs = DirectoryStorage(tmp_path / "theirs")
    source = FolderSource(tmp_path / "theirs")
    ours = CombinedStorage(DirectoryStorage(tmp_path / "ours"), [source], wait_seconds=0.1)
    yield Site(theirs, ours, Fetcher(ours, Figures()))
    ours.close()


@asynccontextmanager
async def following(
    url: str, site: Site, journal: Path, first: int = 0, budget: int = 10**9
) -> Any:
    rpc = RpcCaller(url, 10)
    try:
        yield Follower(rpc, site.fetcher, Journal(journal), first, budget)
    finally:
        await rpc.close()


async def fetch_all(follower: Follower) -> None:
    while (errand := follower._next()) is not None:
        await follower._fetch_one(errand)


async def test_what_a_real_nodes_transactions_create(tmp_path: Path, site: Site) -> None:
    model, given = site.theirs.put_model(*dense_model()), site.theirs.put_input(INPUT)
    async with run_service(tmp_path / "node") as node:
        for nonce, data in enumerate((model_meta(model), b"\x00\x01nonsense", input_meta(given))):
            transaction = sign(nonce, to=None, data=data, gas=PRICE)
            await node.rpc("eth_sendRawTransaction", "0x" + transaction.encode().hex())
        await node.mine()
        async with following(node.url, site, tmp_path / "journal") as follower:
            while await follower.read_on():
                pass
            counts = follower.counts()
            assert (counts.block, counts.wanted) == (2, 2)
            await fetch_all(follower)
            assert site.ours.contains(model) and site.ours.contains(given)
            assert follower.counts().prefetched_bytes == 1200
        # The next one goes on from where this one was.
        await node.mine()
        async with following(node.url, site, tmp_path / "journal") as follower:
            assert (follower.counts().block, follower.counts().prefetched_bytes) == (2, 1200)
            assert await follower.read_on() and not await follower.read_on()
            assert follower.counts().block == 3


async def test_it_begins_at_the_head_unless_told(tmp_path: Path, site: Site) -> None:
    async with run_service(tmp_path / "node") as node:
        await node.mine()
        async with following(node.url, site, tmp_path / "journal", first=-1) as follower:
            assert not await follower.read_on()
            await node.mine()
            assert await follower.read_on()
            assert follower.counts().block == 3


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    made = Scripted()
    yield made
    made.close()


async def test_another_branch_is_read_again(tmp_path: Path, site: Site, scripted: Scripted) -> None:
    for _ in range(5):
        scripted.add("a")
    async with following(scripted.url, site, tmp_path / "journal") as follower:
        while await follower.read_on():
            pass
        del scripted.blocks[3:]
        for _ in range(4):
            scripted.add("b", model_meta(b"\x07" * 20))
        assert not await follower.read_on()  # it looks again after a pause
        assert follower.counts().block == 0
        while await follower.read_on():
            pass
        assert (follower.counts().block, follower.counts().wanted) == (7, 1)


async def test_a_model_that_dolores_replaces(
    tmp_path: Path, site: Site, scripted: Scripted
) -> None:
    replaced, by = next(iter(DOLORES.replaced_models.items()))
    scripted.add("a", model_meta(replaced))
    for scripted.network, wanted in ((43, by), (21, replaced)):
        async with following(
            scripted.url, site, tmp_path / f"journal{scripted.network}"
        ) as follower:
            await follower.read_on()
            assert list(follower._wanted) == [wanted]


async def test_too_large_an_answer_is_asked_for_in_parts(
    tmp_path: Path, site: Site, scripted: Scripted
) -> None:
    for _ in range(40):
        scripted.add("a")
    scripted.most = 5
    async with following(scripted.url, site, tmp_path / "journal") as follower:
        failures = 0
        while follower.counts().block < 40:
            try:
                await follower.read_on()
            except PeerError:
                failures += 1
            assert failures < 40


@pytest.mark.parametrize("block", [None, {"number": "0x9", "hash": "0x1", "parentHash": ""}])
async def test_a_node_without_its_own_blocks_is_not_asked_at_full_speed(
    tmp_path: Path, site: Site, scripted: Scripted, block: Any
) -> None:
    scripted.blocks = [block] * 4
    async with following(scripted.url, site, tmp_path / "journal") as follower:
        assert not await follower.read_on()
        assert follower.counts().block == 0


async def test_a_budget_bounds_what_is_fetched(
    tmp_path: Path, site: Site, scripted: Scripted
) -> None:
    model, given = site.theirs.put_model(*dense_model()), site.theirs.put_input(INPUT)
    scripted.add("a", model_meta(model, 5000), input_meta(given, 300))
    async with following(scripted.url, site, tmp_path / "journal", budget=4000) as follower:
        await follower.read_on()
        await fetch_all(follower)
        counts = follower.counts()
    assert (counts.over_budget, counts.prefetched_bytes, counts.wanted) == (1, 300, 0)
    assert site.ours.contains(given) and not site.ours.contains(model)


async def test_no_more_comes_than_was_announced(
    tmp_path: Path, site: Site, scripted: Scripted
) -> None:
    model = site.theirs.put_model(*dense_model())
    scripted.add("a", model_meta(model, 10))
    async with following(scripted.url, site, tmp_path / "journal") as follower:
        await follower.read_on()
        await fetch_all(follower)
        assert follower.counts().wanted == 1
    with pytest.raises(ContentMissing, match="10 are allowed"):
        await site.fetcher.ensure(model, 10)
    assert not site.ours.contains(model)
    await site.fetcher.ensure(model)  # who asks for it by itself is not bound by that
    assert site.ours.contains(model)


async def test_one_that_comes_later_is_fetched_then(
    tmp_path: Path, site: Site, scripted: Scripted
) -> None:
    now = [0.0]
    site.fetcher._clock = lambda: now[0]
    absent = site.theirs.put_input(INPUT)
    site.theirs.remove(absent)
    scripted.add("a", input_meta(absent))
    rpc = RpcCaller(scripted.url, 10)
    journal = Journal(tmp_path / "journal")
    follower = Follower(rpc, site.fetcher, journal, 0, 10**6, lambda: now[0])
    await follower.read_on()
    await fetch_all(follower)
    assert follower.counts().wanted == 1
    site.theirs.put_input(INPUT)
    now[0] = 6.0
    await fetch_all(follower)
    assert follower.counts().wanted == 0 and site.ours.contains(absent)
    await rpc.close()


@pytest.mark.parametrize(
    "block",
    [
        {"number": "0x0", "transactions": [{"to": None, "input": "zz"}]},
        {"number": None},
        {"number": "twelve"},
    ],
)
async def test_what_is_no_block_is_an_error(
    tmp_path: Path, site: Site, scripted: Scripted, block: Any
) -> None:
    scripted.blocks = [block]
    async with following(scripted.url, site, tmp_path / "journal") as follower:
        with pytest.raises(PeerError):
            await follower.read_on()


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"transactions": "none"},
        {"transactions": [7, None, {}]},
        {"transactions": [{"to": "0x" + "11" * 20, "input": "0x" + model_meta(bytes(20)).hex()}]},
        {"transactions": [{"to": None, "input": "0x0001"}]},
        {"transactions": [{"to": None, "input": "0x" + model_meta(bytes(20), 0).hex()}]},
        {"transactions": [{"to": None, "input": "0x" + model_meta(bytes(20), 2**40).hex()}]},
    ],
)
def test_what_creates_nothing(block: Any) -> None:
    assert list(find_created(block)) == []


def test_a_journal_is_whole_or_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    assert journal.read() is None
    place = Place(7, "0xab", 5, (Wanted(b"\x01" * 20, 9),))
    journal.write(place)
    assert journal.read() == place
    for content in ("", "[]", '{"next_block": 1}', "\x00"):
        (tmp_path / "journal").write_text(content)
        assert journal.read() is None
