"""Cache, metadata, torrents and input files."""

from __future__ import annotations

import contextlib
import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.models.bencoding import bencode
from node.models.cache import Cache, Policy
from node.models.errors import MalformedModel
from node.models.input_file import read_input, read_input_shape, write_input
from node.models.metadata import describe_input, describe_model
from node.models.torrent import choose_piece_bytes, describe_file, describe_folder
from tests.support.cvm_models import small_model


def fill(policy):
    cache = Cache(30, policy)
    for key in (b"a", b"b", b"c"):
        cache.put(key, key.decode(), 10)
    cache.get(b"a")
    cache.put(b"d", "d", 10)
    return [key for key in (b"a", b"b", b"c", b"d") if cache.get(key)], cache.counts()


def test_lru_keeps_what_was_used_and_fifo_what_is_new():
    assert fill(Policy.LRU)[0] == [b"a", b"c", b"d"]
    kept, counts = fill(Policy.FIFO)
    assert kept == [b"b", b"c", b"d"]
    assert (counts.evictions, counts.entries, counts.used_bytes) == (1, 3, 30)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=60))
def test_cache_never_exceeds_its_limit(puts):
    cache = Cache(50)
    for key, size in puts:
        cache.put(bytes([key]), key, size)
        assert cache.counts().used_bytes <= 50
    assert Cache(50).counts().hit_ratio is None


def test_a_value_beyond_the_limit_is_not_kept():
    cache = Cache(5)
    assert cache.find(b"k", lambda: ("large", 6)) == "large"
    assert cache.counts().entries == 0


def test_metadata_of_a_model():
    symbol, parameters = small_model()
    meta = describe_model(symbol, parameters, author=b"a" * 20, gas=7, comment="two of three")
    assert (meta.input_shape, meta.output_shape) == ((3,), (2,))
    assert meta.raw_size == len(symbol) + len(parameters)
    with pytest.raises(MalformedModel):
        describe_model(symbol, parameters, author=b"a", gas=7)
    with pytest.raises(MalformedModel):
        describe_model(symbol, parameters, author=b"a" * 20, gas=20_001)


def test_bencode():
    assert bencode({b"b": [1, b"xy"], b"a": -3}) == b"d1:ai-3e1:bli1e2:xyee"


def test_infohash_of_a_folder_is_that_of_its_bytes():
    info = describe_folder({"symbol": b"s" * 20_000, "params": b"p" * 20_000})
    joined = b"p" * 20_000 + b"s" * 20_000
    pieces = [joined[i : i + 16384] for i in range(0, 40_000, 16384)]
    digest = b"".join(hashlib.sha1(piece).digest() for piece in pieces)
    expected = (
        b"d5:filesld6:lengthi20000e4:pathl6:paramseed6:lengthi20000e4:pathl6:symboleee"
        b"4:name4:data12:piece lengthi16384e6:pieces60:" + digest + b"e"
    )
    assert info.encode() == expected
    assert info.infohash == hashlib.sha1(expected).digest()
    assert describe_file(b"x").infohash != describe_file(b"y").infohash
    assert choose_piece_bytes(1 << 30) == 1 << 19


@pytest.mark.parametrize("kind", [np.int8, np.int32])
def test_input_files(kind):
    values = np.arange(-6, 6, dtype=kind).reshape(3, 4)
    content = write_input(values)
    assert read_input(content) == values.tobytes()
    assert read_input_shape(content) == (3, 4)
    assert describe_input(content).shape == (3, 4)
    assert np.array_equal(np.load(io.BytesIO(content)), values)


@given(st.integers(0, 127), st.integers(0, 255))
def test_damaged_input_files_are_refused_or_read(position, value):
    content = bytearray(write_input(np.zeros((3, 4), np.int8)))
    content[position] = value
    with contextlib.suppress(MalformedModel):
        read_input(bytes(content))


def test_truncated_and_foreign_input_files():
    content = write_input(np.zeros((3, 4), np.int8))
    for length in range(len(content)):
        with pytest.raises(MalformedModel):
            read_input(content[:length])
    floats = io.BytesIO()
    np.save(floats, np.zeros(3))
    with pytest.raises(MalformedModel, match="<f8"):
        read_input(floats.getvalue())
