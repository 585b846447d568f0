"""The client of an IPFS daemon, against a stand-in of its HTTP RPC; and against a real kubo where
FARMCTL_KUBO_URL names one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.models.content import describe
from node.models.errors import MalformedModel, ModelNotFound, StorageError
from node.models.storage.combined import CombinedStorage
from node.models.storage.directory import DirectoryStorage
from node.models.storage.kubo import KuboSource
from tests.support import fake_kubo
from tests.support.cvm_models import small_model
from tests.support.fake_kubo import FakeKubo

SYMBOL, PARAMETERS = small_model()


def storage_of(root: Path, url: str, quota_bytes: int | None = None) -> CombinedStorage:
    source = KuboSource(url, root / "cids.json")
    return CombinedStorage(DirectoryStorage(root, quota_bytes), [source], wait_seconds=20)


def source_of(storage: CombinedStorage) -> KuboSource:
    (source,) = storage.sources
    assert isinstance(source, KuboSource)
    return source


@pytest.fixture
def kubo() -> Iterator[FakeKubo]:
    with fake_kubo.running() as daemon:
        yield daemon


def exchange(giver: Path, taker: Path, url: str) -> None:
    """A model and an input go from one node's storage to another's, by their CIDs."""
    first, second = storage_of(giver, url), storage_of(taker, url)
    model, given = first.put_model(SYMBOL, PARAMETERS), first.put_input(b"an input")
    for infohash in (model, given):
        cid = source_of(first).find_cid(infohash)
        assert cid is not None
        source_of(second).learn(infohash, cid)
    assert second.read_model(model) == (SYMBOL, PARAMETERS)
    assert second.read(given, "data") == b"an input"
    assert sorted(second) == sorted(first)
    assert first.count_copies(model).copies >= 2  # in the folder, and in the daemon
    for infohash in (model, given):
        first.remove(infohash)
    assert not list(first)
    first.close()
    second.close()


def test_contents_go_by_the_daemon(kubo: FakeKubo, tmp_path: Path) -> None:
    exchange(tmp_path / "giver", tmp_path / "taker", kubo.url)
    assert not kubo.pins


def test_contents_go_by_a_real_daemon(tmp_path: Path) -> None:
    url = os.environ.get("FARMCTL_KUBO_URL")
    if not url:
        pytest.skip("1 exchange not tried: FARMCTL_KUBO_URL names no kubo daemon")
    exchange(tmp_path / "giver", tmp_path / "taker", url)


def test_the_table_of_cids_outlives_a_restart(kubo: FakeKubo, tmp_path: Path) -> None:
    first = storage_of(tmp_path, kubo.url)
    model = first.put_model(SYMBOL, PARAMETERS)
    first.directory.remove(model)  # lost, with the daemon keeping it
    first.close()
    again = storage_of(tmp_path, kubo.url)
    assert again.read_model(model) == (SYMBOL, PARAMETERS)
    again.close()
    (tmp_path / "cids.json").write_text("{")
    with pytest.raises(StorageError, match="unreadable"):
        storage_of(tmp_path, kubo.url)


def test_a_lost_pin_is_made_again(kubo: FakeKubo, tmp_path: Path) -> None:
    storage = storage_of(tmp_path, kubo.url)
    model = storage.put_model(SYMBOL, PARAMETERS)
    cid = source_of(storage).find_cid(model) or ""
    storage.offer(model)
    assert kubo.asked.count("add") == 1
    kubo.forget(cid)
    assert storage.count_copies(model).copies == 1
    storage.offer(model)
    assert storage.count_copies(model).copies == 2 and cid in kubo.pins
    storage.close()


def test_others_who_provide_it_are_counted(kubo: FakeKubo, tmp_path: Path) -> None:
    storage = storage_of(tmp_path, kubo.url)
    model = storage.put_model(SYMBOL, PARAMETERS)
    cid = source_of(storage).find_cid(model) or ""
    kubo.network.providers[cid] |= {"12D3KooWa", "12D3KooWb"}
    found = storage.count_copies(model)
    assert (found.copies, found.elsewhere) == (4, {"kubo": 3})
    storage.close()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"symbol": SYMBOL, "params": PARAMETERS[:-1] + b"?"}, "damaged"),
        ({"symbol": SYMBOL}, "is no model and no input"),
        ({"symbol": SYMBOL, "params": bytes(2_000_000)}, "are allowed"),
    ],
)
def test_a_lying_cid_gives_nothing(
    kubo: FakeKubo, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    model = describe({"symbol": SYMBOL, "params": PARAMETERS}).infohash
    storage = storage_of(tmp_path, kubo.url, quota_bytes=1_000_000)
    source_of(storage).learn(model, kubo.add(files))
    with pytest.raises(ModelNotFound, match=said):
        storage.read_model(model)
    assert not storage.contains(model) and not list(tmp_path.glob(".fetching-*/*"))
    storage.close()


def test_without_a_daemon_or_a_cid(tmp_path: Path) -> None:
    with fake_kubo.running() as gone:
        url = gone.url
    storage = storage_of(tmp_path, url)
    model = storage.put_model(SYMBOL, PARAMETERS)  # kept here all the same
    assert storage.read_model(model) == (SYMBOL, PARAMETERS)
    assert storage.count_copies(model).elsewhere == {}
    with pytest.raises(ModelNotFound, match="no CID is known"):
        storage.read_model(bytes(20))
    source_of(storage).learn(bytes(19) + b"1", "bafy" + "a" * 52)
    with pytest.raises(ModelNotFound, match="kubo does not answer"):
        storage.read_model(bytes(19) + b"1")
    with pytest.raises(MalformedModel, match="no CID"):
        source_of(storage).learn(model, "../../etc/passwd")
    storage.close()
