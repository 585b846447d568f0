"""How long a block of INFER transactions takes to build and to import, with the inferences of
waiting transactions computed ahead of it and without.

Each transaction asks for the result of an input of its own. The engine is the CPU's session in a
process of its own behind the scheduler, with so many milliseconds added to each answer as a device
that is busy or far away would take. The importer is another node, which has the transactions in its
pool, as from its peers, and gets the block.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.infer_service.models import convolutional_net
from benchmarks.node import CHAIN, KEY, Clock, mine, solve
from farmctl.cycles import verify_cycle
from farmctl.synapse.local_engine import LocalEngine
from node.core import Node
from node.inference import Answer
from node.models.input_file import write_input
from node.models.loading import GraphLoader
from node.models.metadata import describe_input, describe_model
from node.models.storage.directory import DirectoryStorage
from node.spec.crypto import private_address
from node.spec.transition import created_address
from node.spec.types import Transaction

TRANSACTIONS, QUICK_TRANSACTIONS = 24, 8
ROUNDS, QUICK_ROUNDS = 5, 2
#: Added to each answer.
DELAYS_MILLISECONDS = (0.0, 20.0)
SENDER = private_address(KEY)
SIDE, CHANNELS = 16, 16
MODELS_BYTES = 1 << 30
WAIT_SECONDS = 60.0


class DelayedEngine:
    """The CPU's session, each answer so much later."""

    def __init__(self, loader: GraphLoader, delay_seconds: float) -> None:
        self._inner = LocalEngine(loader, MODELS_BYTES)
        self._delay_seconds = delay_seconds

    def slots(self) -> int:
        return 8

    def run(self, model: str, data: bytes) -> Answer:
        answer = self._inner.run(model, data)
        time.sleep(self._delay_seconds)
        return answer

    def close(self) -> None:
        self._inner.close()


class Site:
    """A node with its engine."""

    def __init__(self, home: Path, clock: Clock, delay_seconds: float) -> None:
        loader = GraphLoader(DirectoryStorage(home / "models"))
        self.engine = DelayedEngine(loader, delay_seconds)
        self.node = Node(
            CHAIN, home, loader, self.engine, bytes(20), verify_cycle, clock, apart=True
        )
        self.ready = threading.Event()
        self.node.prerunner.on_ready = self.ready.set

    def run_ahead(self) -> None:
        """Until nothing is left to be computed."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.node.run_ahead() or self.node.prerunner.is_waiting:
            if not self.ready.wait(max(0.0, deadline - time.monotonic())):
                raise TimeoutError("running ahead takes too long")
            self.ready.clear()

    def close(self) -> None:
        self.node.close()
        self.engine.close()


class Pair:
    """A node that builds and one that imports, on one chain with a contract that asks."""

    def __init__(self, home: Path, delay_seconds: float, count: int) -> None:
        self.clock, self.nonce = Clock(), 0
        self.builder, self.importer = (
            Site(home / name, self.clock, delay_seconds) for name in ("builder", "importer")
        )
        files = convolutional_net(SIDE, CHANNELS)
        random = np.random.default_rng(1)
        contents = [
            write_input(random.integers(-127, 128, (3, SIDE, SIDE), dtype=np.int8))
            for _ in range(count)
        ]
        for site in (self.builder, self.importer):
            site.node.loader.storage.put_model(*files)
            for content in contents:
                site.node.loader.storage.put_input(content)
        self.model = self._create(describe_model(*files, author=SENDER).encode())
        self.inputs = [self._create(describe_input(each).encode()) for each in contents]
        self._settle(2)
        for address in (self.model, *self.inputs):
            self._send(address)
        self._settle(2)
        self.contract = self._create(asking_contract(self.model))
        self._settle(1)

    def close(self) -> None:
        for site in (self.builder, self.importer):
            site.close()

    def measure(self, ahead: bool) -> tuple[float, float]:
        """Seconds to build and to import a block of transactions that each ask for something."""
        for site in (self.builder, self.importer):
            site.node.inference.forget()
        sent = [self._send(self.contract, bytes(12) + each) for each in self.inputs]
        for transaction in sent:
            self.importer.node.send(transaction)
        if ahead:
            for site in (self.builder, self.importer):
                site.run_ahead()
        self.clock.now += 4
        began = time.perf_counter()
        package = self.builder.node.refresh_work()
        built = time.perf_counter() - began
        if len(package.block.transactions) != len(sent):
            raise RuntimeError(f"only {len(package.block.transactions)} are in the block")
        block = self.builder.node.submit(package.seal_hash, *solve(package.block))
        began = time.perf_counter()
        self.importer.node.import_block(block)
        taken = time.perf_counter() - began
        receipts = self.importer.node.store.receipts(block.hash())
        if not all(receipt.succeeded for receipt in receipts):
            raise RuntimeError("an inference failed")
        return built, taken

    def _create(self, data: bytes) -> bytes:
        address = created_address(SENDER, self.nonce)
        self._send(None, data)
        return address

    def _send(self, to: bytes | None, data: bytes = b"") -> Transaction:
        unsigned = Transaction(self.nonce, 1, 400_000, to, 0, data)
        transaction = unsigned.sign(KEY, CHAIN.chain_id)
        self.builder.node.send(transaction)
        self.nonce += 1
        return transaction

    def _settle(self, least: int) -> None:
        """Mine until nothing waits."""
        while least > 0 or len(self.builder.node.mempool):
            self.importer.node.import_block(mine(self.builder.node, self.clock, ()))
            least -= 1


def asking_contract(model: bytes) -> bytes:
    """Creation code of a contract that runs INFER on the input whose address it is given."""
    runtime = (
        bytes.fromhex("60026000526000604052")  # a uint256[] of two words at 0
        + bytes.fromhex("6000600035")  # into offset 0, of the input at the call's first word
        + b"\x73"
        + model
        + bytes.fromhex("c050")  # INFER
        + bytes.fromhex("60205160005500")  # slot 0 = its first word
    )
    size = len(runtime)
    return bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + runtime


def run(quick: bool) -> dict[str, Any]:
    count = QUICK_TRANSACTIONS if quick else TRANSACTIONS
    rounds = QUICK_ROUNDS if quick else ROUNDS
    rows = []
    for delay in DELAYS_MILLISECONDS:
        with tempfile.TemporaryDirectory() as folder:
            pair = Pair(Path(folder), delay / 1e3, count)
            try:
                pair.measure(ahead=False)  # the first opens the devices and loads the model
                rows += [measure(pair, delay, ahead, count, rounds) for ahead in (False, True)]
            finally:
                pair.close()
    return {"rows": rows}


def measure(pair: Pair, delay: float, ahead: bool, count: int, rounds: int) -> dict[str, Any]:
    times = [pair.measure(ahead) for _ in range(rounds)]
    return {
        "milliseconds_added": delay,
        "computed": "ahead" if ahead else "in the block",
        "inferences": count,
        "build_milliseconds": statistics.median(built for built, _ in times) * 1e3,
        "import_milliseconds": statistics.median(taken for _, taken in times) * 1e3,
    }
