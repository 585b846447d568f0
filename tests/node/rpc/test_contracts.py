"""A contract of a real compiler through web3.py: events, reasons, errors of its own, panics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3
from web3.exceptions import (
    ContractCustomError,
    ContractLogicError,
    ContractPanicError,
    Web3RPCError,
)

from tests.node.rpc.running import Running
from tests.node.workshop import POOR, RICH_KEY

BOX = json.loads((Path(__file__).parents[2] / "clients" / "box.json").read_text())
ACCOUNT = Account.from_key(RICH_KEY)


class Sender:
    """Signs here, and lets the client fill in what it can find out."""

    def __init__(self, w3: Web3) -> None:
        self._w3 = w3

    def __call__(self, prepared: Any, **fields: Any) -> bytes:
        nonce = self._w3.eth.get_transaction_count(ACCOUNT.address, "pending")
        price = self._w3.eth.gas_price
        base = {"from": ACCOUNT.address, "nonce": nonce, "gasPrice": price, **fields}
        transaction = prepared.build_transaction(base)
        signed = ACCOUNT.sign_transaction(transaction)
        return bytes(self._w3.eth.send_raw_transaction(signed.raw_transaction))


async def failure(running: Running, call: Callable[[], Any], kind: type[Exception]) -> Any:
    with pytest.raises(kind) as raised:
        await running.ask(call)
    return raised.value


async def test_a_contract_lives_on_the_chain(running: Running) -> None:
    w3 = running.web3
    send = Sender(w3)
    factory = w3.eth.contract(abi=BOX["abi"], bytecode=BOX["bytecode"])
    deployed = await running.ask(lambda: send(factory.constructor()))
    await running.mine()
    receipt = await running.ask(lambda: w3.eth.wait_for_transaction_receipt(deployed))
    box = w3.eth.contract(address=receipt["contractAddress"], abi=BOX["abi"])

    seen = await running.ask(lambda: box.events.Stored.create_filter(from_block="latest"))
    stored = await running.ask(lambda: send(box.functions.store(42, "hello")))
    await running.mine()
    assert await running.ask(lambda: box.functions.stored().call()) == 42
    (event,) = await running.ask(seen.get_new_entries)
    assert dict(event["args"]) == {"by": ACCOUNT.address, "word": 42, "note": "hello"}
    assert bytes(event["transactionHash"]) == stored
    found = await running.ask(
        lambda: box.events.Stored().get_logs(from_block=0, argument_filters={"word": 42})
    )
    assert [entry["args"] for entry in found] == [event["args"]]

    refused = await failure(running, box.functions.refuse().call, ContractLogicError)
    assert refused.message == "execution reverted: not today"
    custom = await failure(running, box.functions.store(2000, "").call, ContractCustomError)
    selector = Web3.keccak(text="TooLarge(uint256,uint256)")[:4].hex()
    assert custom.data == "0x" + selector + f"{2000:064x}{1000:064x}"
    assert await failure(running, box.functions.divide(0).call, ContractPanicError)
    estimating = box.functions.store(2000, "").estimate_gas
    assert await failure(running, estimating, ContractLogicError)


async def test_refusals_are_those_that_clients_know(running: Running) -> None:
    w3 = running.web3

    def send(**fields: Any) -> bytes:
        base = {"chainId": 20260, "to": POOR, "value": 1, "gas": 21_000, "gasPrice": 100}
        signed = ACCOUNT.sign_transaction({**base, **fields})
        return bytes(w3.eth.send_raw_transaction(signed.raw_transaction))

    await running.ask(lambda: send(nonce=0))
    cases: list[tuple[str, dict[str, Any]]] = [
        ("already known", {"nonce": 0}),
        ("replacement transaction underpriced", {"nonce": 0, "value": 2}),
        ("nonce too high", {"nonce": 10_000}),
        ("exceeds block gas limit", {"nonce": 1, "gas": 10**9}),
    ]
    for message, fields in cases:
        error = await failure(running, lambda fields=fields: send(**fields), Web3RPCError)
        assert message in error.message
        assert error.rpc_response["error"]["code"] == -32000
    await running.mine()
    error = await failure(running, lambda: send(nonce=0, value=3), Web3RPCError)
    assert "nonce too low" in error.message
