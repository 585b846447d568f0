"""Inferences of waiting transactions, computed before a block asks for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from node.inference import Answer, ReferenceEngine
from node.models.cache import Cache
from node.models.input_file import write_input
from node.models.loading import GraphLoader
from node.models.metadata import describe_input
from tests.node.test_inference import Published
from tests.node.workshop import RICH, Clock, dense_model, mine

INPUTS = 6


def asking_contract(model: bytes) -> bytes:
    """Creation code of a contract that runs INFER on the input whose address is given."""
    runtime = (
        bytes.fromhex("60016000526000602052")  # a uint256[] of one word at 0
        + bytes.fromhex("6000600035")  # offset 0, calldata word 0 (the input's address)
        + b"\x73"
        + model
        + bytes.fromhex("c0600155")  # INFER(model, input, 0); slot 1 = status
        + bytes.fromhex("6020516000550000")  # slot 0 = mem[32]; stop
    )
    size = len(runtime)
    return bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + runtime


class Slow:
    """The reference, which counts, and can be held."""

    def __init__(self, loader: GraphLoader) -> None:
        self._reference = ReferenceEngine(loader)
        self.runs = 0
        self.gate: threading.Event | None = None

    def slots(self) -> int:
        return 2

    def run(self, model: str, data: bytes) -> Answer:
        if self.gate is not None:
            assert self.gate.wait(10)
        self.runs += 1
        return self._reference.run(model, data)


class Asking(Published):
    """A node with a contract to ask, and inputs to ask it for."""

    def __init__(self, home: Path, clock: Clock) -> None:
        super().__init__(home, clock)
        self.publish()
        self.inputs = [self._add_input(number) for number in range(INPUTS)]
        mine(self.node, clock, 2)
        for address in self.inputs:
            self.send(address)
        mine(self.node, clock)
        self.asker = self.create(asking_contract(self.model))
        mine(self.node, clock)
        self.slow = Slow(self.node.loader)
        self.node.inference.engine._engine = self.slow  # type: ignore[attr-defined]
        self.node.run_ahead()  # what came before

    def _add_input(self, number: int) -> bytes:
        content = write_input(np.full(6, number + 1, np.int8))
        self.node.loader.storage.put_input(content)
        return self.create(describe_input(content).encode())

    def call(self, number: int) -> bytes:
        return self.send(self.asker, bytes(12) + self.inputs[number])

    def settle(self) -> None:
        """Until what was asked for is answered."""
        ready = threading.Event()
        self.node.prerunner.on_ready = ready.set
        for _ in range(20):
            self.node.run_ahead()
            if not self.node.prerunner.is_waiting:
                return
            assert ready.wait(10)
            ready.clear()
        raise AssertionError("it never settles")


@pytest.fixture
def asking(tmp_path: Path, clock: Clock) -> Iterator[Asking]:
    made = Asking(tmp_path / "node", clock)
    yield made
    made.node.close()


def test_a_block_finds_the_results(asking: Asking) -> None:
    node = asking.node
    sent = [asking.call(number) for number in range(INPUTS)]
    asking.settle()
    assert asking.slow.runs == INPUTS
    hits = node.inference.counts().results.hits
    block = mine(node, asking.clock)
    assert len(block.transactions) == INPUTS and asking.slow.runs == INPUTS
    assert all(asking.receipt(each).succeeded for each in sent)
    assert node.inference.counts().results.hits >= hits + INPUTS
    counts = node.prerunner.counts
    assert (counts.transactions, counts.inferences) == (INPUTS, INPUTS)


def test_nothing_of_it_is_seen(asking: Asking) -> None:
    node = asking.node
    root, nonce = node.head().state_root, node.state_at(node.head()).get_nonce(RICH)
    asking.call(0)
    asking.settle()
    assert node.head().state_root == root
    assert node.state_at(node.head()).get_nonce(RICH) == nonce
    assert len(node.mempool) == 1 and asking.slot(0) == 0


def test_plain_transfers_are_not_executed(asking: Asking) -> None:
    asking.send(b"\x99" * 20)
    asking.settle()
    assert asking.node.prerunner.counts.transactions == 0


def test_what_leaves_the_pool_is_cancelled(asking: Asking) -> None:
    node, slow = asking.node, asking.slow
    slow.gate = threading.Event()
    sent = [asking.call(number) for number in range(INPUTS)]
    node.run_ahead()
    assert node.prerunner.counts.inferences == INPUTS
    node.mempool.remove(sent)
    node.run_ahead()
    running = node.inference.counts().scheduler.running
    slow.gate.set()
    slow.gate = None
    asking.settle()
    node.inference.close()
    assert slow.runs == running < INPUTS
    assert node.prerunner.counts.cancelled >= INPUTS - running


def test_another_head_may_need_another_result(asking: Asking) -> None:
    """A transaction that found all its results is looked at again after each block."""
    node = asking.node
    asking.call(0)
    asking.settle()
    (candidate,) = node.prerunner._asking.values()
    rounds = candidate.rounds
    held = list(node.mempool.all())
    node.mempool.remove(each.transaction.hash() for each in held)
    mine(node, asking.clock)  # an empty block
    for each in held:
        node.mempool.add(
            each.transaction, node.state_at(node.head()), 10**7, node.head().number + 1
        )
    asking.settle()
    (again,) = node.prerunner._asking.values()
    assert again is not candidate and (again.rounds, rounds) == (1, 2)
    assert asking.slow.runs == 1


def test_an_outage_is_tried_again_on_the_next_head(asking: Asking) -> None:
    node = asking.node
    asking.node.inference.engine._engine = asking.engine  # type: ignore[attr-defined]
    asking.engine.on = False
    sent = asking.call(0)
    asking.settle()
    assert node.prerunner.counts.inferences == 1 and sent in node.mempool
    asking.settle()
    assert node.prerunner.counts.inferences == 1
    mine(node, asking.clock)  # goes on without it
    asking.engine.on = True
    asking.settle()
    assert node.prerunner.counts.inferences == 2
    assert mine(node, asking.clock).transactions[0].hash() == sent


def test_a_model_that_comes_later_is_asked_on_the_next_head(asking: Asking) -> None:
    node = asking.node
    node.loader.storage.remove(node.loader.storage.put_model(*dense_model()))
    node.loader.cache = Cache(1)
    sent = asking.call(0)
    asking.settle()
    mine(node, asking.clock)  # goes on without it
    assert node.prerunner.counts.inferences == 0 and sent in node.mempool
    node.loader.storage.put_model(*dense_model())
    asking.settle()
    assert node.prerunner.counts.inferences == 1
    assert mine(node, asking.clock).transactions[0].hash() == sent and asking.slow.runs == 1
