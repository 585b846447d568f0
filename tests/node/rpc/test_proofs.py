"""``eth_getProof`` as web3.py reads it, and headers and inclusion for light nodes."""

from __future__ import annotations

from web3 import Web3

from node.spec.proof import read_account, read_item
from node.spec.types import Header, Transaction
from tests.node.rpc.running import Running
from tests.node.workshop import COIN, POOR, RICH, sign


async def test_an_account_is_proven_to_web3(running: Running) -> None:
    running.service.node.send(sign(0, value=3 * COIN))
    await running.mine()
    w3 = running.web3
    address = Web3.to_checksum_address(POOR)
    told = await running.ask(lambda: w3.eth.get_proof(address, [0], "latest"))
    root = bytes((await running.ask(lambda: w3.eth.get_block("latest")))["stateRoot"])
    account = read_account(root, POOR, [bytes(node) for node in told["accountProof"]])
    assert account is not None and account.balance == told["balance"] == 3 * COIN
    assert told["storageProof"][0]["value"] in (0, b"", b"\0")


async def test_a_transaction_is_proven_and_headers_come_in_bulk(running: Running) -> None:
    sent = sign(0, value=COIN)
    running.service.node.send(sent)
    await running.mine()
    told = await running.rpc("ctxc_getTransactionProof", "0x" + sent.hash().hex())
    raw = await running.rpc("debug_getRawHeaders", "0x0", "0x9")
    headers = [Header.decode(bytes.fromhex(one[2:])) for one in raw]
    assert [header.number for header in headers] == [0, 1]
    nodes = [bytes.fromhex(node[2:]) for node in told["transactionProof"]]
    found = read_item(headers[1].transactions_root, int(told["transactionIndex"], 16), nodes)
    assert found is not None and Transaction.decode(found) == sent
    assert await running.rpc("ctxc_getTransactionProof", "0x" + "11" * 32) is None
    assert await running.rpc("debug_getRawHeaders", "0x7", "0x9") == []
    refused = await running.rpc("eth_getProof", "0x" + RICH.hex(), ["0x0"] * 1025)
    assert "at most 1024" in refused["message"]
