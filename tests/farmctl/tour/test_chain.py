"""Publishing and inference as the tour does them, by web3.py on a real node of a tiny network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console
from web3 import Web3

from farmctl.client import ApiClient
from farmctl.config import Config
from farmctl.errors import Refused, Unavailable
from farmctl.tour.assembler import deploy
from farmctl.tour.chain import ChainClient, Wallet
from farmctl.tour.contract import ABI, classifier
from farmctl.tour.guide import Guide
from farmctl.tour.publish import AUTHOR_GAS, create_metas, upload_metas, wait_all
from node.models.input_file import write_input
from node.models.metadata import describe_input, describe_model
from node.spec.crypto import keccak
from tests.node.rpc.conftest import running
from tests.node.rpc.running import Running
from tests.node.workshop import AUTHOR, COIN, POOR, POOR_KEY, RICH_KEY, dense_model

__all__ = ["running"]
GAS_WEI = 10**9


def make_guide(running: Running, home: Path) -> Guide:
    none = cast(ApiClient, None)  # these steps speak to the chain alone
    return Guide(Config(home=home), none, ChainClient(running.url), Console(quiet=True))


@asynccontextmanager
async def mining(running: Running) -> AsyncIterator[None]:
    """A block whenever a transaction waits, as long as this is entered."""

    async def mine() -> None:
        while True:
            if len(running.service.node.mempool):
                await running.mine()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(mine())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def publish(guide: Guide, running: Running, rows: list[list[int]]) -> tuple[str, list[str], Wallet]:
    """The model that takes six int8 and gives three int32, and inputs for it."""
    storage = running.service.node.loader.storage
    wallet = Wallet(guide.chain, RICH_KEY)
    symbol, parameters = dense_model()
    storage.put_model(symbol, parameters)
    meta = describe_model(symbol, parameters, author=AUTHOR, gas=AUTHOR_GAS)
    contents = [write_input(np.array(row, np.int8)) for row in rows]
    for content in contents:
        storage.put_input(content)
    metas = [meta.encode(), *(describe_input(content).encode() for content in contents)]
    addresses = create_metas(guide, wallet, metas)
    upload_metas(guide, wallet, addresses)
    return addresses[0], addresses[1:], wallet


async def test_a_contract_names_the_class_and_the_author_is_paid(
    running: Running, tmp_path: Path
) -> None:
    guide = make_guide(running, tmp_path)
    # Weights (1 … 6), (-1, 1, -1, …), (9, 0, 0, 0, 0, 1): one row for each class, and a tie of
    # negative scores, in which the first wins.
    rows = [[0, 0, 0, 0, 0, 9], [-9, 9, -9, 0, 0, 0], [9, -9, 0, 0, 0, 0], [0, 0, -1, -1, 1, 0]]

    def walk() -> None:
        model, inputs, wallet = publish(guide, running, rows)
        code = deploy(classifier(3, 4))
        (made,) = wait_all(guide, "contract", [wallet.send(None, 300_000, code)])
        contract: Any = guide.chain.web3.eth.contract(address=made["contractAddress"], abi=ABI)
        before = guide.chain.balance(Web3.to_checksum_address(AUTHOR))
        sent = []
        for each in inputs:
            data = Web3.to_bytes(hexstr=contract.encode_abi("classify", [model, each]))
            sent.append(wallet.send(contract.address, 200_000, data))
        receipts = wait_all(guide, "calls", sent)
        logs = [contract.events.Classified().process_receipt(each)[0]["args"] for each in receipts]
        weights = np.array([[1, 2, 3, 4, 5, 6], [-1, 1, -1, 1, -1, 1], [9, 0, 0, 0, 0, 1]])
        expected = [int(np.argmax(weights @ np.array(row))) for row in rows]
        assert [each["class"] for each in logs] == expected
        assert [each["input"] for each in logs] == inputs
        assert contract.functions.classify(model, inputs[1]).call() == expected[1]
        share = guide.chain.balance(Web3.to_checksum_address(AUTHOR)) - before
        assert share == len(rows) * AUTHOR_GAS * GAS_WEI
        infohash = guide.chain.call("ctxc_getModel", model)["infohash"]
        computed = guide.chain.call("ctxc_inferences", infohash)
        hashes = {"0x" + keccak(np.array(row, np.int8).tobytes()).hex() for row in rows}
        assert {each["inputHash"] for each in computed} == hashes
        assert all(each["device"] == "reference" for each in computed)

    async with mining(running):
        await running.ask(walk)


async def test_an_unknown_call_and_a_wrong_infohash_are_refused(
    running: Running, tmp_path: Path
) -> None:
    guide = make_guide(running, tmp_path)

    def walk() -> None:
        wallet = Wallet(guide.chain, RICH_KEY)
        code = deploy(classifier(10, 1))
        (made,) = wait_all(guide, "contract", [wallet.send(None, 300_000, code)])
        call = wallet.send(made["contractAddress"], 100_000, b"\0\0\0\0")
        with pytest.raises(Refused, match="1 of 1 transactions failed"):
            wait_all(guide, "call", [call])
        with pytest.raises(Refused, match="40 hex digits"):
            guide.chain.call("ctxc_inferences", "xyz")

    async with mining(running):
        await running.ask(walk)


async def test_who_has_nothing_is_told_so(running: Running, tmp_path: Path) -> None:
    wallet = Wallet(make_guide(running, tmp_path).chain, POOR_KEY)
    assert bytes.fromhex(wallet.address[2:]) == POOR

    def pay() -> None:
        with pytest.raises(Refused, match="insufficient funds"):
            wallet.send(wallet.address, 21_000, value_wei=COIN)

    await running.ask(pay)


def test_a_node_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        ChainClient("http://127.0.0.1:9").call("eth_chainId")
