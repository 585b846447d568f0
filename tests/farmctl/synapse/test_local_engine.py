"""The engine without a farm: the real processor's worker, killed, stopped, and asked again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from farmctl.synapse.local_engine import LocalEngine
from node.errors import EngineUnavailable, ModelFault
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.cvm.writer import ModelWriter
from tests.node.workshop import dense_model
from tests.support.cvm_models import random_model

DATA = bytes(range(1, 7))


@pytest.fixture
def loader(tmp_path: Path) -> GraphLoader:
    return GraphLoader(DirectoryStorage(tmp_path))


@pytest.fixture
def engine(loader: GraphLoader) -> Iterator[LocalEngine]:
    made = LocalEngine(loader, resident_bytes=10_000, deadline_seconds=3.0)
    yield made
    made.close()


def keep(loader: GraphLoader, model: tuple[bytes, bytes]) -> str:
    return loader.storage.put_model(*model).hex()


def test_it_computes_what_the_reference_does(loader: GraphLoader, engine: LocalEngine) -> None:
    generator, reference = np.random.default_rng(7), ReferenceEngine(loader)
    for _ in range(12):
        model = keep(loader, random_model(generator))
        size = loader.load(bytes.fromhex(model)).input_bytes
        data = generator.bytes(size)
        assert engine.run(model, data).output == reference.run(model, data).output
    assert 0 < engine._resident.counts().used_bytes <= 10_000


def test_a_worker_that_was_killed_is_replaced(loader: GraphLoader, engine: LocalEngine) -> None:
    model = keep(loader, dense_model())
    right = engine.run(model, DATA).output
    first = engine.worker_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EngineUnavailable, match="cpu:0: the worker ended"):
        engine.run(model, DATA)
    assert engine.run(model, DATA).output == right
    assert engine.worker_pid != first


def test_one_killed_amid_a_request(loader: GraphLoader, engine: LocalEngine) -> None:
    """A stopped worker stands for one that computes for long."""
    model = keep(loader, dense_model())
    engine.run(model, DATA)
    pid = engine.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(EngineUnavailable, match="the worker ended during run"):
        engine.run(model, DATA)
    assert engine.run(model, DATA).output


def test_one_that_hangs_is_ended_at_its_deadline(loader: GraphLoader, engine: LocalEngine) -> None:
    model = keep(loader, dense_model())
    engine.run(model, DATA)
    pid = engine.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(EngineUnavailable, match="no answer in 3 s"):
        engine.run(model, DATA)
    assert time.monotonic() - began < 20
    assert engine.run(model, DATA).output


def test_a_model_that_no_device_can_take(loader: GraphLoader, engine: LocalEngine) -> None:
    writer = ModelWriter()
    data = writer.add_input((2, 4), 8)
    total = writer.add("sum", "s", [data], axis="(0, 1)", keepdims=False)
    shifted = writer.add("cvm_right_shift", "r", [total], precision=31, shift_bit=1)
    model = keep(loader, writer.finish([shifted]))
    answer = engine.run(model, bytes(range(8)))
    assert answer.output == ReferenceEngine(loader).run(model, bytes(range(8))).output


def test_faults_and_absences(loader: GraphLoader, engine: LocalEngine) -> None:
    with pytest.raises(EngineUnavailable):
        engine.run("ab" * 20, DATA)
    broken = keep(loader, (b"{}", b"none"))
    with pytest.raises(ModelFault):
        engine.run(broken, DATA)


def test_several_threads_ask(loader: GraphLoader, engine: LocalEngine) -> None:
    model = keep(loader, dense_model())
    right = {n: ReferenceEngine(loader).run(model, bytes((n,)) * 6).output for n in range(40)}
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda n: (n, engine.run(model, bytes((n,)) * 6).output), right)
        assert dict(found) == right
