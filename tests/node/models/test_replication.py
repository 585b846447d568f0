"""Replication between real sessions: what is named is fetched, what is lost comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node.core import Node
from node.models.errors import ModelNotFound
from node.models.metadata import describe_model
from node.models.notices import Located, encode_notice
from node.models.replication import Replication, Wanted, find_missing
from node.models.storage.combined import CombinedStorage
from node.models.storage.directory import DirectoryStorage
from node.models.storage.kubo import KuboSource
from node.rpc.methods.models import get_storage, list_models
from tests.node.models.storage.test_torrent import port_of, settings, storage_of, until
from tests.node.test_inference import Published
from tests.node.workshop import RICH, Clock, dense_model, mine
from tests.support import fake_kubo
from tests.support.cvm_models import small_model

SYMBOL, PARAMETERS = small_model()


def rounds_of(storage: CombinedStorage, *wanted: bytes) -> Replication:
    return Replication(storage, lambda: [Wanted(infohash) for infohash in wanted], 0.05)


def test_a_lost_copy_is_counted_out_and_comes_back(tmp_path: Path) -> None:
    first = settings()
    with (
        storage_of(tmp_path / "a", first) as giver,
        storage_of(tmp_path / "b", settings(port_of(first))) as taker,
    ):
        giver.replicas = 2
        model = giver.put_model(SYMBOL, PARAMETERS)
        giving, taking = rounds_of(giver, model), rounds_of(taker, model)
        giving.run_round()
        assert not giver.locate(model).is_replicated
        taking.run_round()
        until(lambda: taker.contains(model), "the taker fetches what the chain names")

        def counted() -> int:
            taking.run_round()
            giving.run_round()
            return giver.locate(model).copies

        until(lambda: counted() == 2, "the giver counts two copies")
        assert giver.locate(model).is_replicated
        path = tmp_path / "b" / model.hex() / "data" / "params"
        path.write_bytes(bytes(len(PARAMETERS)))
        assert not taker.prove(model)  # a round finds it: set aside, and offered no longer
        until(lambda: giver.count_copies(model).copies == 1, "the giver sees that one was lost")
        until(lambda: counted() == 2, "and that it came back")
        assert taker.read_model(model) == (SYMBOL, PARAMETERS)


def test_a_round_finds_damage_without_a_reader(tmp_path: Path) -> None:
    storage = CombinedStorage(DirectoryStorage(tmp_path))
    model = storage.put_model(SYMBOL, PARAMETERS)
    (tmp_path / model.hex() / "data" / "params").write_bytes(b"else")
    rounds_of(storage, model).run_round()
    assert not storage.contains(model) and list(tmp_path.glob(".damaged-*"))
    storage.close()


def test_no_more_is_fetched_than_was_paid_for(tmp_path: Path) -> None:
    first = settings()
    with (
        storage_of(tmp_path / "a", first) as giver,
        storage_of(tmp_path / "b", settings(port_of(first))) as taker,
    ):
        given = giver.put_input(bytes(5000))
        Replication(taker, lambda: [Wanted(given, 4999)], 0.05).run_round()
        until(lambda: bool(taker.locate(given).problem), "it is refused")
        assert "4999 are allowed" in taker.locate(given).problem
        Replication(taker, lambda: [Wanted(given, 5000)], 0.05).run_round()
        until(lambda: taker.contains(given), "it is fetched")


def test_a_thread_goes_round_until_it_is_stopped(tmp_path: Path) -> None:
    first = settings()
    with storage_of(tmp_path / "a", first) as giver:
        model = giver.put_model(SYMBOL, PARAMETERS)
        with (
            storage_of(tmp_path / "b", settings(port_of(first))) as taker,
            rounds_of(taker, model),
        ):
            until(lambda: taker.contains(model), "fetched")
            shutil.rmtree(tmp_path / "b" / model.hex())
            until(lambda: taker.contains(model), "fetched again")


def test_without_sources_nothing_is_asked_for(tmp_path: Path) -> None:
    storage = CombinedStorage(DirectoryStorage(tmp_path))
    rounds_of(storage, bytes(20)).run_round()
    with pytest.raises(ModelNotFound, match="not stored"):
        storage.read_model(bytes(20))
    assert storage.locate(bytes(20)).problem == ""
    storage.close()


def test_a_chain_without_models_wants_nothing(node: Node) -> None:
    assert list(find_missing(node.loader.storage, node.index, node.store)) == []


def test_a_model_of_too_few_copies_is_not_called_usable_and_serves(
    tmp_path: Path, clock: Clock
) -> None:
    made = Published(tmp_path / "node", clock)
    made.publish()
    node = made.node
    directory = node.loader.storage
    assert isinstance(directory, DirectoryStorage)
    node.loader.storage = CombinedStorage(directory, replicas=2)
    (shown,) = list_models(node)
    assert (shown["usable"], shown["reason"]) == (False, "1 of 2 copies are known")
    infohash = shown["infohash"]
    assert get_storage(node, "0x" + infohash) == shown["storage"]
    assert (shown["storage"]["copies"], shown["storage"]["required"]) == ("0x1", "0x2")
    made.send(made.contract)  # consensus asks for no copies
    mine(node, clock)
    assert made.slot(1) == 1
    node.close()


def test_what_the_chain_names_and_is_not_here_is_missing(tmp_path: Path, clock: Clock) -> None:
    """With the CID that its author says, which leads to it."""
    made = Published(tmp_path / "node", clock)
    meta = describe_model(*dense_model(), author=RICH)
    model = made.create(meta.encode())
    mine(made.node, clock, 2)
    made.send(model)
    mine(made.node, clock)
    node = made.node
    with fake_kubo.running() as kubo:
        cid = kubo.add(dict(zip(("symbol", "params"), dense_model(), strict=True)))
        made.send(model, encode_notice(Located(cid)))
        mine(node, clock)
        directory = DirectoryStorage(tmp_path / "taker")
        storage = CombinedStorage(directory, [KuboSource(kubo.url, tmp_path / "cids")], 5.0)
        missing = list(find_missing(storage, node.index, node.store))
        assert missing == [Wanted(meta.hash, meta.raw_size, cid)]
        Replication(storage, lambda: missing, 0.05).run_round()
        until(lambda: storage.contains(meta.hash), "fetched by the CID that the chain tells")
        assert list(find_missing(storage, node.index, node.store)) == []
        storage.close()
    node.close()
