"""From the creation of a model to the author's share, and what an engine's failure does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from farmctl.api.model_views import show_model
from node.errors import EngineUnavailable, ModelFault
from node.importing import Outcome
from node.inference import Answer, CrossCheckedEngine, Inference, ReferenceEngine
from node.models.cache import Cache
from node.models.input_file import write_input
from node.models.loading import GraphLoader
from node.models.metadata import describe_input, describe_model
from node.models.storage.directory import DirectoryStorage
from node.rpc.errors import ServerError
from node.rpc.methods.calls import call, estimate_gas
from node.rpc.methods.models import get_model, list_models
from node.spec.transition import created_address
from node.spec.types import Receipt
from node.spec.vm import InferLogicError, InferRuntimeError, KernelFault
from tests.node.workshop import (
    AUTHOR,
    BLOCK_SECONDS,
    COIN,
    MINER,
    OTHER_MINER,
    POOR,
    POOR_KEY,
    RICH,
    Clock,
    dense_model,
    mine,
    open_node,
    sign,
    solve,
)

VALUES = np.array([1, -2, 3, -4, 5, -6], np.int8)
EXPECTED = [1 - 4 + 9 - 16 + 25 - 36, -1 - 2 - 3 - 4 - 5 - 6, 9 - 6]
AUTHOR_GAS = 1000


class SwitchedEngine:
    """The reference, with a switch that takes it away."""

    def __init__(self, loader: GraphLoader) -> None:
        self._reference = ReferenceEngine(loader)
        self.on = True
        self.runs = 0

    def run(self, model: str, data: bytes) -> Answer:
        if not self.on:
            raise EngineUnavailable("no INFER worker")
        self.runs += 1
        return self._reference.run(model, data)


def infer_contract(model: bytes, data: bytes) -> bytes:
    """Creation code of a contract that runs INFER into a one-word array and stores word and
    status in slots 0 and 1, and returns the word."""
    runtime = (
        bytes.fromhex("60016000526000602052")  # a uint256[] of one word at 0
        + bytes.fromhex("6000")
        + b"\x73"
        + data
        + b"\x73"
        + model
        + bytes.fromhex("c0600155")  # INFER(model, input, 0); slot 1 = status
        + bytes.fromhex("60205160005560206020f3")  # slot 0 = mem[32]; return it
    )
    size = len(runtime)
    return bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + runtime


class Published:
    """A node with a mature model, input and contract, and the switch of its engine."""

    def __init__(self, home: Path, clock: Clock, coinbase: bytes = MINER) -> None:
        self.clock = clock
        self.engines: list[SwitchedEngine] = []
        self.node = open_node(home, clock, coinbase, self._engine)
        self.nonce = 0

    def _engine(self, loader: GraphLoader) -> SwitchedEngine:
        self.engines.append(SwitchedEngine(loader))
        return self.engines[-1]

    @property
    def engine(self) -> SwitchedEngine:
        return self.engines[-1]

    def store_files(self) -> None:
        storage = self.node.loader.storage
        storage.put_model(*dense_model())
        storage.put_input(write_input(VALUES))

    def send(self, to: bytes | None, data: bytes = b"", gas: int = 400_000) -> bytes:
        sent = sign(self.nonce, to, data=data, gas=gas)
        self.node.send(sent)
        self.nonce += 1
        return sent.hash()

    def create(self, data: bytes, gas: int = 400_000) -> bytes:
        address = created_address(RICH, self.nonce)
        self.send(None, data, gas)
        return address

    def publish(self) -> None:
        self.store_files()
        meta = describe_model(*dense_model(), author=AUTHOR, gas=AUTHOR_GAS, comment="dense")
        self.model = self.create(meta.encode())
        self.input = self.create(describe_input(write_input(VALUES)).encode())
        mine(self.node, self.clock, 2)
        for meta_address in (self.model, self.input):
            self.send(meta_address)
        mine(self.node, self.clock)
        self.contract = self.create(infer_contract(self.model, self.input))
        self.node.send(sign(self.nonce, POOR, value=COIN))
        self.nonce += 1
        mine(self.node, self.clock)

    def receipt(self, transaction_hash: bytes) -> Receipt:
        where = self.node.store.location(transaction_hash)
        assert where is not None
        return self.node.store.receipts(where.block_hash)[where.index]

    def slot(self, number: int) -> int:
        return self.node.state_at(self.node.head()).get_storage(self.contract, number)


@pytest.fixture
def published(tmp_path: Path, clock: Clock) -> Iterator[Published]:
    made = Published(tmp_path / "node", clock)
    made.publish()
    yield made
    made.node.close()


def packed(values: list[int]) -> int:
    """int32 results as a contract finds them: big-endian, from the left of the word."""
    raw = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    return int.from_bytes(raw.ljust(32, b"\0"), "big")


def test_infer_in_a_transaction_gives_the_result_and_pays_the_author(published: Published) -> None:
    sent = published.send(published.contract)
    block = mine(published.node, published.clock)
    assert published.receipt(sent).succeeded
    assert (published.slot(0), published.slot(1)) == (packed(EXPECTED), 1)
    state = published.node.state_at(published.node.head())
    assert state.get_balance(AUTHOR) == AUTHOR_GAS * 10
    (model,) = list_models(published.node)
    assert model["address"] == "0x" + published.model.hex()
    assert (model["usable"], model["calls"], model["comment"]) == (True, "0x1", "dense")
    assert sum(published.node.store.calls(block.hash()).values()) == 1
    assert published.engine.runs == 1  # the template's run serves the import too


def test_a_model_says_why_it_is_not_usable_yet(tmp_path: Path, clock: Clock) -> None:
    made = Published(tmp_path, clock)
    made.store_files()
    meta = describe_model(*dense_model(), author=AUTHOR, gas=AUTHOR_GAS)
    address = made.create(meta.encode())
    mine(made.node, clock, 2)
    found = get_model(made.node, "0x" + address.hex())
    assert not found["usable"]
    assert found["reason"] == f"{meta.raw_size} bytes are still to be uploaded"
    made.send(address)
    mine(made.node, clock)
    assert get_model(made.node, "0x" + address.hex())["usable"]
    made.node.close()


def test_an_outage_leaves_the_transaction_waiting_and_the_block_goes_on(
    published: Published,
) -> None:
    published.engine.on = False
    waiting = published.send(published.contract)
    other = sign(0, RICH, key=POOR_KEY, price=1)
    published.node.send(other)
    block = mine(published.node, published.clock)
    assert block.transactions == (other,)
    assert "no INFER worker" in published.node.blocked
    assert waiting in published.node.mempool

    published.engine.on = True
    block = mine(published.node, published.clock)
    assert block.transactions[0].hash() == waiting
    assert published.receipt(waiting).succeeded
    assert published.node.blocked == ""


def test_a_block_with_inference_waits_where_no_engine_answers(
    published: Published, tmp_path: Path
) -> None:
    other = Published(tmp_path / "other", published.clock, OTHER_MINER)
    other.store_files()
    other.engine.on = False
    numbers = range(1, published.node.head().number + 1)
    for number in numbers:
        key = published.node.store.canonical_hash(number)
        assert other.node.import_block(published.node.store.block(key)) is Outcome.HEAD
    published.send(published.contract)
    block = mine(published.node, published.clock)

    before = other.node.head()
    with pytest.raises(InferRuntimeError, match="no INFER worker"):
        other.node.import_block(block)
    assert other.node.head() == before
    assert other.node.store.block(block.hash()) is None
    assert other.node.status().blocked == "1 blocks wait for inference"
    assert other.node.importer.retry() == 0
    other.engine.on = True
    assert other.node.importer.retry() == 1
    assert other.node.head() == block.header
    assert other.node.status().blocked == ""
    other.node.close()


def test_a_model_that_is_not_stored_waits(published: Published) -> None:
    loader = published.node.loader
    for stored in list(loader.storage):
        loader.storage.remove(stored)
    loader.cache = Cache(1)
    sent = published.send(published.contract)
    assert mine(published.node, published.clock).transactions == ()
    assert "not stored" in published.node.blocked
    assert sent in published.node.mempool


def test_a_sealed_block_that_waits_outlives_a_restart(published: Published) -> None:
    """Its miner was told yes; the results that the template had are forgotten by then."""
    node = published.node
    sent = published.send(published.contract)
    published.clock.now += BLOCK_SECONDS
    package = node.refresh_work()
    header = solve(package.block.header)
    published.engine.on = False
    node.inference.forget()
    node.submit(package.seal_hash, header.nonce_int(), header.solution)
    assert node.head().number == header.number - 1
    node.close()

    published.node = again = open_node(node.home, published.clock, MINER, published._engine)
    published.engine.on = False
    again.resume()
    assert again.status().blocked == "1 blocks wait for inference"
    published.engine.on = True
    again.retry()
    assert again.head().hash() == header.hash()
    assert published.receipt(sent).succeeded
    assert again.store.records("sealed") == []


class LyingEngine:
    def __init__(self, fault: bool = False) -> None:
        self._fault = fault

    def run(self, model: str, data: bytes) -> Answer:
        if self._fault:
            raise ModelFault("so I say", device="rig/cuda:0")
        return Answer(bytes(12), "rig/cuda:0")


@pytest.fixture
def loader(tmp_path: Path) -> GraphLoader:
    return GraphLoader(DirectoryStorage(tmp_path))


def test_a_wrong_result_is_reported_and_never_passed_on(loader: GraphLoader) -> None:
    model = loader.storage.put_model(*dense_model())
    reports: list[tuple[str, str, str]] = []
    engine = CrossCheckedEngine(
        LyingEngine(), ReferenceEngine(loader), 1.0, lambda *report: reports.append(report)
    )
    result = Inference(loader, engine).run(model, VALUES.tobytes(), 0)
    assert result == packed(EXPECTED).to_bytes(32, "big")[:12]  # the reference's
    assert reports == [(model.hex(), "rig/cuda:0", "gave a wrong result")]


def test_a_claimed_fault_is_judged_by_the_reference(loader: GraphLoader) -> None:
    model = loader.storage.put_model(*dense_model())
    reports: list[tuple[str, str, str]] = []
    engine = CrossCheckedEngine(
        LyingEngine(fault=True), ReferenceEngine(loader), 0.0, lambda *r: reports.append(r)
    )
    result = Inference(loader, engine).run(model, VALUES.tobytes(), 0)
    assert result == packed(EXPECTED).to_bytes(32, "big")[:12]
    assert len(reports) == 1


def test_faults_are_of_the_networks_kinds(loader: GraphLoader) -> None:
    broken = loader.storage.put_model(b"{}", b"x")
    shapeless = loader.storage.put_input(b"no array")
    inference = Inference(loader, ReferenceEngine(loader))
    with pytest.raises(KernelFault):
        inference.run(broken, b"", 0)
    with pytest.raises(InferLogicError):
        inference.input_data(shapeless, 0)
    with pytest.raises((InferLogicError, KernelFault)):
        inference.operations(broken, 0)
    with pytest.raises(InferRuntimeError, match="not stored"):
        inference.operations(bytes(20), 0)


def test_the_dashboard_can_show_the_model(published: Published) -> None:
    shown = show_model(list_models(published.node)[0])
    assert (shown.usable, shown.gas, shown.calls) == (True, AUTHOR_GAS, 0)
    assert shown.raw_size == sum(map(len, dense_model()))


def test_a_call_gives_the_result_or_says_that_no_engine_answers(published: Published) -> None:
    request = {"to": "0x" + published.contract.hex()}
    published.engine.on = False
    with pytest.raises(ServerError, match="inference is not available: no INFER worker"):
        call(published.node, request)
    with pytest.raises(ServerError, match="inference is not available"):
        estimate_gas(published.node, request)
    published.engine.on = True
    assert int(call(published.node, request), 16) == packed(EXPECTED)


def test_an_estimate_is_enough_and_close(published: Published) -> None:
    request = {"from": "0x" + RICH.hex(), "to": "0x" + published.contract.hex()}
    gas = int(estimate_gas(published.node, request), 16)
    sent = published.send(published.contract, gas=gas)
    mine(published.node, published.clock)
    receipt = published.receipt(sent)
    assert receipt.succeeded
    assert receipt.cumulative_gas_used <= gas <= receipt.cumulative_gas_used * 1.05
