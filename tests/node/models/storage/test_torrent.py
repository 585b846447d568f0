"""Real BitTorrent sessions on loopback: a model goes from one node to another by infohash."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from node.models.content import describe
from node.models.errors import ModelNotFound, StorageError
from node.models.storage.combined import CombinedStorage
from node.models.storage.directory import DirectoryStorage
from node.models.storage.settings import StorageSettings
from node.models.storage.torrent import TorrentSource
from tests.support.cvm_models import small_model
from tests.support.ports import free_port

SYMBOL, PARAMETERS = small_model()
SECONDS = 20.0


def bulk(size: int) -> bytes:
    """Bytes that are the same each time and no two pieces alike."""
    blocks = range(-(-size // 32))
    return b"".join(hashlib.sha256(b"%d" % i).digest() for i in blocks)[:size]


def settings(*peers: int, **changes: object) -> StorageSettings:
    own = StorageSettings(
        torrent=True,
        torrent_listen=f"127.0.0.1:{free_port()}",
        torrent_peers=tuple(f"127.0.0.1:{port}" for port in peers),
    )
    return replace(own, **changes)  # type: ignore[arg-type]


def port_of(chosen: StorageSettings) -> int:
    return int(chosen.torrent_listen.rpartition(":")[2])


@contextmanager
def storage_of(
    root: Path, chosen: StorageSettings, quota_bytes: int | None = None
) -> Iterator[CombinedStorage]:
    directory = DirectoryStorage(root, quota_bytes)
    storage = CombinedStorage(directory, [TorrentSource(chosen)], wait_seconds=SECONDS)
    for infohash in storage:
        storage.offer(infohash)
    try:
        yield storage
    finally:
        storage.close()


@pytest.fixture
def giver(tmp_path: Path) -> Iterator[tuple[CombinedStorage, int]]:
    chosen = settings()
    with storage_of(tmp_path / "giver", chosen) as storage:
        yield storage, port_of(chosen)


def until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_model_and_an_input_go_from_node_to_node(
    giver: tuple[CombinedStorage, int], tmp_path: Path
) -> None:
    source, port = giver
    big = bulk(3_000_000)
    model, given = source.put_model(SYMBOL, big), source.put_input(PARAMETERS)
    with storage_of(tmp_path / "taker", settings(port)) as taker:
        assert taker.read_model(model) == (SYMBOL, big)
        assert taker.read(given, "data") == PARAMETERS
        assert sorted(taker) == sorted(source)
        until(lambda: taker.count_copies(model).copies == 2, "the taker sees the giver's copy")
        until(lambda: source.count_copies(model).copies == 2, "the giver sees the taker's copy")
        assert not list(taker.directory.root.glob(".fetching-*"))


def test_what_was_fetched_is_given_on(tmp_path: Path) -> None:
    first = settings()
    middle = settings(port_of(first))
    with storage_of(tmp_path / "middle", middle) as second:
        with storage_of(tmp_path / "first", first) as source:
            model = source.put_model(SYMBOL, PARAMETERS)
            second.read_model(model)
        with storage_of(tmp_path / "last", settings(port_of(middle))) as third:
            assert third.read_model(model) == (SYMBOL, PARAMETERS)


def test_a_restart_offers_again_and_a_lost_copy_comes_back(
    giver: tuple[CombinedStorage, int], tmp_path: Path
) -> None:
    source, port = giver
    model = source.put_model(SYMBOL, PARAMETERS)
    taken = tmp_path / "taker"
    with storage_of(taken, settings(port)) as taker:
        taker.read_model(model)
    shutil.rmtree(taken / model.hex() / "data")
    with storage_of(taken, settings(port)) as taker:
        assert taker.read_model(model) == (SYMBOL, PARAMETERS)


def test_a_changed_byte_is_set_aside_and_fetched_anew(
    giver: tuple[CombinedStorage, int], tmp_path: Path
) -> None:
    source, port = giver
    model = source.put_model(SYMBOL, PARAMETERS)
    with storage_of(tmp_path / "taker", settings(port)) as taker:
        taker.read_model(model)
        path = tmp_path / "taker" / model.hex() / "data" / "params"
        damaged = PARAMETERS[:-1] + bytes([PARAMETERS[-1] ^ 1])
        path.write_bytes(damaged)
        assert taker.read_model(model) == (SYMBOL, PARAMETERS)
        (aside,) = tmp_path.glob("taker/.damaged-*/*/data/params")
        assert aside.read_bytes() == damaged


def test_a_giver_of_damaged_bytes_is_not_believed(
    giver: tuple[CombinedStorage, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The giver's disk fails after it offered: no taker gets what is not the model."""
    monkeypatch.setattr("node.models.storage.torrent.STALL_SECONDS", 1.0)
    source, port = giver
    model = source.put_model(SYMBOL, PARAMETERS)
    path = source.directory.root / model.hex() / "data" / "params"
    path.write_bytes(bytes(len(PARAMETERS)))
    with storage_of(tmp_path / "taker", settings(port)) as taker:
        with pytest.raises(ModelNotFound, match=r"stays at|no peer"):
            taker.read_model(model)
        assert not taker.contains(model)


def test_too_large_a_content_is_refused_before_it_is_written(
    giver: tuple[CombinedStorage, int], tmp_path: Path
) -> None:
    source, port = giver
    given = source.put_input(bulk(200_000))
    with storage_of(tmp_path / "taker", settings(port), quota_bytes=100_000) as taker:
        with pytest.raises(ModelNotFound, match="200000 bytes"):
            taker.read(given, "data")
        assert taker.directory.used_bytes() == 0


def test_a_fetch_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    """The taker stops in the middle; its next session asks for the rest alone."""
    content = bulk(1_000_000)
    slow = settings(upload_bytes_per_second=600_000)
    taken = tmp_path / "taker"
    with storage_of(tmp_path / "giver", slow) as source:
        given = source.put_input(content)
        with storage_of(taken, settings(port_of(slow))) as taker:
            done = taker.request(given)
            until(lambda: (taker.locate(given).fetched_ratio or 0) > 0.3, "a third is here")
        with pytest.raises(StorageError):
            done.result(0)
        (part,) = taken.glob(".fetching-*/data")
        pieces = [content[at : at + 16384] for at in range(0, len(content), 16384)]
        kept = part.read_bytes()
        here = sum(kept[i * 16384 :][: len(piece)] == piece for i, piece in enumerate(pieces))
        assert here >= len(pieces) // 8
        with storage_of(taken, settings(port_of(slow))) as taker:
            seen: list[float] = []
            done = taker.request(given)
            while not done.done():
                seen.append(taker.locate(given).fetched_ratio or 0.0)
                time.sleep(0.005)
            assert taker.read(given, "data") == content
            assert min(ratio for ratio in seen if ratio) >= here / len(pieces) - 0.05


def test_rates_are_bounded(tmp_path: Path) -> None:
    slow = settings(upload_bytes_per_second=400_000)
    with storage_of(tmp_path / "giver", slow) as source:
        given = source.put_input(bulk(400_000))
        with storage_of(tmp_path / "taker", settings(port_of(slow))) as taker:
            began = time.monotonic()
            taker.read(given, "data")
            assert time.monotonic() - began > 0.8


def test_nobody_has_it(
    giver: tuple[CombinedStorage, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.models.storage.torrent.STALL_SECONDS", 0.3)
    absent = describe({"data": b"nowhere"}).infohash
    with storage_of(tmp_path / "taker", settings(giver[1])) as taker:
        with pytest.raises(ModelNotFound, match="no peer gives"):
            taker.read(absent, "data")
        began = time.monotonic()
        with pytest.raises(ModelNotFound, match="no peer gives"):
            taker.read(absent, "data")  # known from before, not asked again at once
        assert time.monotonic() - began < 0.2
        assert "no peer gives" in taker.locate(absent).problem


def test_a_taken_port_is_named(giver: tuple[CombinedStorage, int]) -> None:
    with pytest.raises(StorageError, match=f"cannot listen on 127.0.0.1:{giver[1]}"):
        TorrentSource(settings(torrent_listen=f"127.0.0.1:{giver[1]}"))


def test_it_looks_for_nobody_unless_told() -> None:
    source = TorrentSource(settings())
    chosen = source._session.get_settings()
    for name in ("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp"):
        assert chosen[name] is False, name
    assert not source._session.is_dht_running()
    source.close()
