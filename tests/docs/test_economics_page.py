"""The worked example of docs/economics.md: a real transaction, whose figures the page must show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from node.models.input_file import write_input
from node.models.metadata import describe_input, describe_model
from node.rpc.methods.economics import estimate_infer
from node.spec.cvm import load
from node.spec.cvm.writer import ModelWriter
from node.spec.gas import UPLOAD_GAS, intrinsic_gas
from tests.node.test_inference import Published, infer_contract
from tests.node.workshop import AUTHOR, CHAIN, MINER, Clock, mine, sign

PAGE = (Path(__file__).parents[2] / "docs" / "economics.md").read_text("utf-8")
GWEI = 10**9
PRICE = 5 * GWEI
AUTHOR_GAS = 10_000


def model_files() -> tuple[bytes, bytes]:
    """Eight 3×3 filters over a picture of 3×64×64, and the sum of what each finds."""
    rng = np.random.default_rng(7)
    writer = ModelWriter()
    data = writer.add_input((1, 3, 64, 64), 8)
    weights = writer.add_parameter("w", rng.integers(-7, 8, (8, 3, 3, 3)), 4)
    found = writer.add(
        "conv2d", "filters", [data, weights], channels=8, kernel_size=(3, 3), padding=(1, 1),
        use_bias=False,
    )  # fmt: skip
    found = writer.add("cvm_right_shift", "s", [found], precision=8, shift_bit=6)
    return writer.finish([writer.add("sum", "sum", [found], axis=(2, 3))])


class Example(Published):
    def store_files(self) -> None:
        storage = self.node.loader.storage
        storage.put_model(*model_files())
        storage.put_input(self.picture())

    @staticmethod
    def picture() -> bytes:
        return write_input(np.ones((3, 64, 64), np.int8))

    def publish(self) -> None:
        self.store_files()
        meta = describe_model(*model_files(), author=AUTHOR, gas=AUTHOR_GAS)
        self.meta_code = meta.encode()
        self.model = self.create(self.meta_code)
        self.input = self.create(describe_input(self.picture()).encode())
        mine(self.node, self.clock, 2)
        for address in (self.model, self.input):
            self.send(address)
        mine(self.node, self.clock)


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    made = Example(tmp_path, Clock())
    made.publish()
    yield made
    made.node.close()


def shows(figure: int) -> bool:
    return f"{figure:,}" in PAGE


def test_the_worked_example_is_what_a_transaction_costs(example: Example) -> None:
    node = example.node
    contract = example.create(infer_contract(example.model, example.input))
    mine(node, example.clock)
    operations = load(*model_files()).operations()
    sent = sign(example.nonce, contract, gas=200_000, price=PRICE)
    state = node.state_at(node.head())
    before = {who: state.get_balance(who) for who in (AUTHOR, MINER)}
    node.send(sent)
    mine(node, example.clock)

    receipt = example.receipt(sent.hash())
    assert receipt.succeeded
    where = node.store.location(sent.hash())
    assert where is not None
    used = node.store.receipts(where.block_hash)[where.index].cumulative_gas_used
    state = node.state_at(node.head())
    author = state.get_balance(AUTHOR) - before[AUTHOR]
    miner = state.get_balance(MINER) - before[MINER] - CHAIN.reward_wei
    assert author == AUTHOR_GAS * PRICE
    assert author + miner == used * PRICE
    infer = operations // 20_000
    own = used - 21_000 - infer - AUTHOR_GAS
    for figure in (operations, infer, AUTHOR_GAS, own, used, used - AUTHOR_GAS):
        assert shows(figure), f"{figure:,} is missing"
    for wei in (used * PRICE, author, miner):
        assert shows(wei // GWEI), f"{wei // GWEI:,} gwei are missing"

    shown = estimate_infer(node, "0x" + example.model.hex())
    assert int(shown["inferGas"], 16) == infer + AUTHOR_GAS
    assert int(shown["inferArrayGas"], 16) == 1_000_000 + AUTHOR_GAS


def test_the_storage_fee_of_the_page_is_that_of_the_transactions(example: Example) -> None:
    stored = example.node.state_at(example.node.head()).get_code(example.model)
    creation = intrinsic_gas(example.meta_code, creates=True, uploads=False, istanbul=True)
    assert shows(creation + 20 * len(stored))
    assert shows(UPLOAD_GAS)
