"""A model that is not here yet comes by BitTorrent while a node asks for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from node.models.input_file import write_input
from node.models.storage.combined import CombinedStorage
from node.models.storage.directory import DirectoryStorage
from node.models.storage.settings import StorageSettings
from node.models.storage.torrent import TorrentSource
from tests.node.synapse.go_client import GoClient, RuntimeError_
from tests.node.synapse.running import running
from tests.node.workshop import dense_model
from tests.support.ports import free_port

INPUT = np.array([[1, 2, 3, 4, 5, 6]], np.int8)
RESULT = bytes.fromhex("0000005b000000030000000f")


@contextmanager
def giving(root: Path, port: int) -> Iterator[CombinedStorage]:
    """Another node's storage, which gives what it has."""
    settings = StorageSettings(torrent=True, torrent_listen=f"127.0.0.1:{port}")
    storage = CombinedStorage(DirectoryStorage(root), [TorrentSource(settings)])
    try:
        yield storage
    finally:
        storage.close()


def source(port: int) -> TorrentSource:
    return TorrentSource(
        StorageSettings(
            torrent=True,
            torrent_listen=f"127.0.0.1:{free_port()}",
            torrent_peers=(f"127.0.0.1:{port}",),
        )
    )


def test_a_model_and_its_input_come_while_a_node_waits(tmp_path: Path) -> None:
    port = free_port()
    with giving(tmp_path / "theirs", port) as theirs:
        model = theirs.put_model(*dense_model())
        given = theirs.put_input(write_input(INPUT))
        with running(tmp_path / "ours", sources=(source(port),)) as served:
            with GoClient(served.port) as client:
                assert client.infer_by_hash(model, given) == RESULT
                assert client.gas(model) == 189
            assert served.count('synapse_contents_fetched_total{outcome="ok"}') == 2


@pytest.mark.slow
def test_one_that_nobody_has_is_an_error_until_somebody_does(tmp_path: Path) -> None:
    """Two nodes wait, one deadline passes, the peer appears, the next request finds it here."""
    port = free_port()
    expected = DirectoryStorage(tmp_path / "elsewhere").put_model(*dense_model())
    with (
        running(tmp_path / "ours", sources=(source(port),), deadline_seconds=1.0) as served,
        ThreadPoolExecutor(2) as nodes,
    ):

        def ask() -> int:
            with GoClient(served.port) as client:
                return client.gas(expected)

        for early in [nodes.submit(ask) for _ in range(2)]:
            with pytest.raises(RuntimeError_, match="still worked on"):
                early.result(10)
        with giving(tmp_path / "theirs", port) as theirs:
            theirs.put_model(*dense_model())
            deadline = time.monotonic() + 40
            while True:
                try:
                    assert ask() == 189
                    break
                except RuntimeError_:
                    assert time.monotonic() < deadline


def test_a_content_damaged_on_the_disk_is_never_used(tmp_path: Path) -> None:
    with running(tmp_path, cache_bytes=0) as served:
        model = served.storage.put_model(*dense_model())
        given = served.storage.put_input(write_input(INPUT))
        path = tmp_path / given.hex() / "data"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with GoClient(served.port) as client, pytest.raises(RuntimeError_):
            client.infer_by_hash(model, given)
        assert served.storage.put_input(write_input(INPUT)) == given
        with GoClient(served.port) as client:
            assert client.infer_by_hash(model, given) == RESULT
