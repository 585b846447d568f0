"""The JSON-RPC against web3.py, as an ordinary client of a running service."""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx
import pytest
from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError

from node.rpc.settings import RpcSettings
from tests.node.rpc.running import Running
from tests.node.workshop import CHAIN, COIN, POOR, RICH, RICH_KEY

TOPIC = "0x" + Web3.keccak(text="Stored(uint256)").hex()
#: Four bytes of input: return slot 0. More: store the word after them, and log Stored(word).
RUNTIME = (
    "3660041460" + "41" + "57"  # calldata of 4 bytes: go to 0x41
    "60043580600055600052"  # slot 0 = mem[0] = word
    "7f" + TOPIC[2:] + "60206000a1"  # log1(mem[0:32], topic)
    "00" + "5b60005460005260206000f3"
)
RUNTIME = RUNTIME.replace("6041", f"60{RUNTIME.index('5b600054') // 2:02x}", 1)
DEPLOY = (
    "0x60" + f"{len(RUNTIME) // 2:02x}" + "600c60003960" + f"{len(RUNTIME) // 2:02x}" + "6000f3"
)
ABI = [
    {
        "type": "function",
        "name": "store",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "word", "type": "uint256"}],
        "outputs": [],
    },
    {
        "type": "function",
        "name": "stored",
        "stateMutability": "view",
        "inputs": [],
        "outputs": [{"name": "", "type": "uint256"}],
    },
    {
        "type": "event",
        "name": "Stored",
        "anonymous": False,
        "inputs": [{"name": "word", "type": "uint256", "indexed": False}],
    },
]


async def test_web3_sends_value_deploys_calls_and_reads_logs(running: Running) -> None:
    w3 = running.web3
    account = Account.from_key(RICH_KEY)
    assert await running.ask(lambda: w3.eth.chain_id) == 20260
    assert await running.ask(lambda: w3.client_version)

    def send(**fields: Any) -> bytes:
        transaction = {
            "chainId": 20260,
            "nonce": w3.eth.get_transaction_count(account.address, "pending"),
            "gasPrice": w3.eth.gas_price,
            "value": 0,
            **fields,
        }
        transaction.setdefault("gas", w3.eth.estimate_gas({"from": account.address, **fields}))
        return bytes(
            w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)
        )

    poor = Web3.to_checksum_address(POOR)
    paid = await running.ask(lambda: send(to=poor, value=COIN))
    deployed = await running.ask(lambda: send(data=DEPLOY + RUNTIME))
    assert (await running.ask(lambda: w3.eth.get_transaction(paid)))["blockNumber"] is None
    with pytest.raises(TransactionNotFound):
        await running.ask(lambda: w3.eth.get_transaction_receipt(paid))
    await running.mine()

    receipt = await running.ask(lambda: w3.eth.get_transaction_receipt(paid))
    assert (receipt["status"], receipt["gasUsed"], receipt["blockNumber"]) == (1, 21_000, 1)
    assert await running.ask(lambda: w3.eth.get_balance(poor)) == COIN
    address = (await running.ask(lambda: w3.eth.get_transaction_receipt(deployed)))[
        "contractAddress"
    ]
    assert (await running.ask(lambda: w3.eth.get_code(address))).hex() == RUNTIME

    contract = w3.eth.contract(address=address, abi=ABI)
    fields = {"to": address, "data": contract.encode_abi("store", [1234])}
    stored = await running.ask(lambda: send(**fields))
    await running.mine()
    assert await running.ask(lambda: contract.functions.stored().call()) == 1234
    receipt = await running.ask(lambda: w3.eth.get_transaction_receipt(stored))
    (event,) = contract.events.Stored().process_receipt(receipt)
    assert event["args"]["word"] == 1234
    found = await running.ask(lambda: contract.events.Stored().get_logs(from_block=0))
    assert [e["transactionHash"] for e in found] == [receipt["transactionHash"]]
    assert (
        await running.ask(
            lambda: w3.eth.get_logs({"fromBlock": 0, "toBlock": 1, "address": address})
        )
        == []
    )
    assert int((await running.rpc("eth_getStorageAt", address, "0x0", "latest")), 16) == 1234


async def test_a_block_shows_the_fields_of_cortex(running: Running) -> None:
    await running.mine()
    block = await running.ask(lambda: running.web3.eth.get_block("latest", True))
    assert block["number"] == 1 and len(block["solution"]) == 42
    assert int(block["supply"], 16) == CHAIN.reward_wei
    assert int(block["quota"], 16) == CHAIN.quota_per_block
    assert await running.rpc("ctxc_blockNumber") == "0x1"
    raw = await running.rpc("debug_getRawBlock", "0x1")
    assert bytes.fromhex(raw) == running.service.node.store.block(block["hash"]).encode()
    by_hash = await running.rpc("eth_getBlockByHash", "0x" + block["hash"].hex(), False)
    assert by_hash == await running.rpc("eth_getBlockByNumber", "0x1", False)
    assert await running.rpc("eth_getBlockByNumber", "0x99", False) is None


async def test_reverts_carry_their_reason_and_data(running: Running) -> None:
    error = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (2).to_bytes(32, "big")
    error += b"no".ljust(32, b"\0")
    size = len(error)
    code = bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xFD]) + error
    request = {"from": Web3.to_checksum_address(RICH), "data": "0x" + code.hex()}
    with pytest.raises(ContractLogicError, match="no"):
        await running.ask(lambda: running.web3.eth.call(request))
    reply = await running.rpc("eth_call", {"data": "0x" + code.hex()}, "latest")
    assert reply == {
        "code": 3,
        "message": "execution reverted: no",
        "data": "0x" + error.hex(),
    }


async def test_filters_give_each_block_and_log_once(running: Running) -> None:
    w3 = running.web3
    blocks = await running.ask(lambda: w3.eth.filter("latest"))
    await running.mine()
    (found,) = await running.ask(blocks.get_new_entries)
    assert bytes(found) == running.service.node.head().hash()
    assert await running.ask(blocks.get_new_entries) == []
    assert await running.rpc("eth_uninstallFilter", blocks.filter_id)
    assert (await running.rpc("eth_getFilterChanges", blocks.filter_id))["code"] == -32001


async def test_refusals_change_nothing_and_say_why(running: Running) -> None:
    account = Account.from_key(RICH_KEY)
    base = {"chainId": 20260, "nonce": 0, "gasPrice": 1, "gas": 21_000, "to": POOR, "value": 0}
    cases = {
        "insufficient funds": {**base, "value": 10**30},
        "intrinsic gas too low": {**base, "gas": 20_000},
        "underpriced": {**base, "gasPrice": 0},
        "invalid sender": {**base, "chainId": 1},
    }
    for message, transaction in cases.items():
        raw = account.sign_transaction(transaction).raw_transaction
        with pytest.raises(Web3RPCError, match=message):
            await running.ask(lambda raw=raw: running.web3.eth.send_raw_transaction(raw))
    assert (await running.rpc("eth_sendRawTransaction", "0xc0"))["code"] == -32602
    assert "legacy" in (await running.rpc("eth_sendRawTransaction", "0x02f8"))["message"]
    assert await running.rpc("txpool_status") == {"pending": "0x0", "queued": "0x0"}


MALFORMED: list[tuple[bytes, int]] = [
    (b"{", -32700),
    (b"\xff\xfe", -32700),
    (b"[" * 100_000, -32700),
    (b"[]", -32600),
    (b"1", -32600),
    (b'{"id": 1}', -32600),
    (b'{"id": 1, "method": "eth_call", "params": {}}', -32600),
    (b'{"id": 1, "method": "eth_call", "params": [1,2,3,4,5,6,7,8,9]}', -32600),
    (b'{"id": 1, "method": "eth_nothing"}', -32601),
    (b'{"id": 1, "method": "eth_getBalance", "params": ["0x12"]}', -32602),
    (b'{"id": 1, "method": "eth_getBalance", "params": []}', -32602),
    (b'{"id": 1, "method": "eth_getBlockByNumber", "params": ["now", false]}', -32602),
    (b'{"id": 1, "method": "eth_getBalance", "params": ["0x' + b"00" * 20 + b'", "0x99"]}', -32001),
    (b'{"id": 1, "method": "ctxc_submitWork", "params": ["0x00", "0x00", "0x00"]}', -32602),
    (b" " * (RpcSettings.max_body_bytes + 1), -32600),
    (b"[" + b",".join([b"1"] * (RpcSettings.max_batch + 1)) + b"]", -32600),
]


async def test_malformed_requests_have_their_codes(running: Running) -> None:
    answered = [(await running.post(body))["error"]["code"] for body, _ in MALFORMED]
    assert answered == [code for _, code in MALFORMED]


async def test_nesting_cannot_overrun_the_stack(running: Running) -> None:
    assert sys.getrecursionlimit() <= 10_000
    request = b'{"id": 1, "method": "eth_call", "params": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert (await running.post(request))["error"]["code"] == -32700


async def test_a_foreign_host_name_is_turned_away(running: Running) -> None:
    async with httpx.AsyncClient() as client:
        reply = await client.post(running.url, content=b"{}", headers={"Host": "evil.example"})
    assert reply.status_code == 400


async def test_a_foreign_page_is_turned_away(running: Running) -> None:
    """Also where it needs no leave: a plain POST goes out before any answer is read."""
    body = b'{"id": 1, "method": "eth_chainId"}'
    for origin, status in (
        ("http://evil.example", 403),
        ("null", 403),
        ("http://localhost:8080", 200),
    ):
        reply = await running.client.post(running.url, content=body, headers={"Origin": origin})
        assert reply.status_code == status, origin


async def test_a_batch_is_answered_one_by_one(running: Running) -> None:
    batch = [
        {"id": "a", "method": "eth_chainId"},
        {"method": "eth_chainId"},
        {"id": 2, "method": "nothing"},
    ]
    replies = await running.post(json.dumps(batch).encode())
    assert [(r["id"], r.get("result"), "error" in r) for r in replies] == [
        ("a", hex(20260), False),
        (2, None, True),
    ]
