"""The directory of models: found by hash, proved by hash, whole or not there at all."""

from __future__ import annotations

import resource
from contextlib import contextmanager

import numpy as np
import pytest

from node.errors import EngineUnavailable, ModelFault
from node.models.bencoding import bdecode
from node.models.content import read_layout
from node.models.errors import MalformedModel, ModelCorrupt, ModelNotFound, StorageFull
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.models.torrent import TorrentInfo, describe_file
from node.spec.cvm.writer import ModelWriter
from tests.support.cvm_models import small_model

SYMBOL, PARAMETERS = small_model()


@pytest.fixture
def storage(tmp_path):
    return DirectoryStorage(tmp_path / "models")


@contextmanager
def file_size_limit(size_bytes):
    """A disk that takes no more: writing beyond fails as on a full one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_model_and_input(storage):
    model = storage.put_model(SYMBOL, PARAMETERS)
    given = storage.put_input(b"content")
    assert storage.read_model(model) == (SYMBOL, PARAMETERS)
    assert storage.read(model, "params") == PARAMETERS
    assert storage.read(given, "data") == b"content"
    assert sorted(storage) == sorted([model, given])
    assert storage.put_model(SYMBOL, PARAMETERS) == model
    reopened = DirectoryStorage(storage.root)
    assert reopened.read(model, "symbol") == SYMBOL


def test_what_is_not_there(storage):
    given = storage.put_input(b"content")
    for infohash, file in ((bytes(20), "data"), (given, "symbol"), (b"short", "data")):
        with pytest.raises(ModelNotFound):
            storage.read(infohash, file)
    with pytest.raises(ModelNotFound, match="no model"):
        storage.read_model(given)
    with pytest.raises(MalformedModel):
        storage.put_input(b"")
    storage.remove(given)
    assert not storage.contains(given) and not list(storage)


def test_a_changed_byte_is_found_and_mended(storage):
    model = storage.put_model(SYMBOL, PARAMETERS)
    path = storage.root / model.hex() / "data" / "params"
    path.write_bytes(PARAMETERS[:-1] + bytes([PARAMETERS[-1] ^ 1]))
    with pytest.raises(ModelCorrupt):
        storage.read(model, "symbol")
    storage.put_model(SYMBOL, PARAMETERS)
    assert storage.read(model, "params") == PARAMETERS


def test_quota(tmp_path):
    storage = DirectoryStorage(tmp_path, quota_bytes=1000)
    kept = storage.put_input(bytes(600))
    with pytest.raises(StorageFull, match="quota"):
        storage.put_input(bytes(400))
    assert 600 < storage.used_bytes() <= 1000 and list(storage) == [kept]


def test_a_full_disk_leaves_nothing(storage):
    with file_size_limit(64), pytest.raises(StorageFull, match="cannot write"):
        storage.put_model(SYMBOL, PARAMETERS)
    assert list(storage.root.iterdir()) == []


def test_what_a_crash_left_is_cleared(storage):
    (storage.root / ".incoming-abc").mkdir()
    (storage.root / ".incoming-abc" / "data").write_bytes(b"half")
    assert list(DirectoryStorage(storage.root).root.iterdir()) == []


def test_a_removal_leaves_what_others_are_writing(storage):
    kept = storage.put_input(b"content")
    writing = storage.root / ".incoming-other"
    writing.mkdir()
    storage.remove(kept)
    assert list(storage.root.iterdir()) == [writing]
    storage.remove(kept)
    storage.set_aside(kept)
    assert list(storage.root.iterdir()) == [writing]


def test_pieces_of_another_length_and_a_torrent_of_another_maker(tmp_path):
    """Contents of the network's own tools, whose info dictionaries are not as ours."""
    content = bytes(range(256)) * 200
    longer = describe_file(content, piece_bytes=32768)
    fields = {**describe_file(content).info, b"source": b"elsewhere"}
    for info in (longer, TorrentInfo(fields)):
        storage = DirectoryStorage(tmp_path / info.infohash.hex())
        folder = storage.fetching_folder(info.infohash)
        (folder / "data").write_bytes(content)
        storage.adopt(info.infohash, folder, info.encode())
        assert storage.read(info.infohash, "data") == content
        assert storage.read_info(info.infohash) == info.encode()
        (tmp_path / info.infohash.hex() / info.infohash.hex() / "data").write_bytes(content[:-1])
        with pytest.raises(ModelCorrupt):
            storage.read(info.infohash, "data")


@pytest.mark.parametrize(
    "change",
    [
        {b"name": b"../etc"},
        {b"length": -1},
        {b"piece length": 0},
        {b"files": [{b"length": 1, b"path": [b"..", b"passwd"]}]},
    ],
)
def test_a_torrent_that_is_no_content_is_refused(tmp_path, change):
    info = TorrentInfo({**describe_file(b"content").info, **change})
    with pytest.raises(MalformedModel):
        read_layout(info.infohash, info.encode())


@pytest.mark.parametrize("encoded", [b"", b"i03e", b"l", b"d1:b0:1:a0:e", b"5:abc", b"l" * 99])
def test_bencoding_is_taken_in_its_one_form(encoded):
    with pytest.raises(MalformedModel):
        bdecode(encoded)


def test_loader(storage):
    loader = GraphLoader(storage)
    model = storage.put_model(SYMBOL, PARAMETERS)
    assert loader.load(model) is loader.load(model)
    assert loader.cache.counts().hit_ratio == 0.5
    with pytest.raises(EngineUnavailable):
        loader.load(bytes(20))
    with pytest.raises(ModelFault) as error:
        loader.load(storage.put_model(b"{}", PARAMETERS))
    assert not error.value.logic
    with pytest.raises(ModelFault, match="operations"):
        loader.load(storage.put_model(*endless_model()))


def endless_model():
    """Few bytes, more operations than a model may have."""
    writer = ModelWriter()
    wide = writer.add_input((1, 1, 2**12, 2**12), 2)
    ones = writer.add_parameter("w", np.ones((4, 1, 200, 200), np.int32), 2)
    form = {"channels": 4, "kernel_size": (200, 200), "use_bias": False}
    return writer.finish([writer.add("conv2d", "c", [wide, ones], **form)])
