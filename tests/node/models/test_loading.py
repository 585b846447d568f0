"""Models become graphs once, however many threads ask."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.errors import EngineUnavailable, ModelFault
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from tests.support.cvm_models import small_model


class Slow(DirectoryStorage):
    """Takes a while, and counts."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[bytes] = []

    def read_model(self, infohash: bytes) -> tuple[bytes, bytes]:
        self.reads.append(infohash)
        time.sleep(0.05)
        return super().read_model(infohash)


def test_a_model_is_loaded_by_one_thread(tmp_path: Path) -> None:
    storage = Slow(tmp_path)
    loader = GraphLoader(storage)
    model = storage.put_model(*small_model())
    with ThreadPoolExecutor(8) as threads:
        graphs = list(threads.map(loader.load, [model] * 8))
    assert len(storage.reads) == 1 and len({id(graph) for graph in graphs}) == 1
    counts = loader.cache.counts()
    assert (counts.hits, counts.misses) == (7, 1)


def test_a_failure_is_for_each_and_lasts_no_longer(tmp_path: Path) -> None:
    storage = Slow(tmp_path)
    loader = GraphLoader(storage)
    model = storage.put_model(*small_model())
    storage.remove(model)
    with ThreadPoolExecutor(3) as threads:
        for asked in [threads.submit(loader.load, model) for _ in range(3)]:
            with pytest.raises(EngineUnavailable):
                asked.result()
    storage.put_model(*small_model())
    assert loader.load(model) and not loader._turns


def test_operations_are_counted_without_parameters_and_remembered(tmp_path: Path) -> None:
    storage = Slow(tmp_path)
    loader = GraphLoader(storage)
    symbol, parameters = small_model()
    model, headless = storage.put_model(symbol, parameters), storage.put_model(symbol, b"none")
    assert loader.count_operations(model) == loader.count_operations(headless)
    assert loader.cache.counts().entries == 0
    assert loader.count_operations(model) == loader.load(model).operations()
    assert len(storage.reads) == 3  # each symbol once, and the whole model
    with pytest.raises(ModelFault):
        loader.load(headless)
