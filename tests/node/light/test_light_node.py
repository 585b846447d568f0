"""A light node answers as full nodes do, with everything proven to it."""

from __future__ import annotations

from typing import Any

import pytest

from node.light.methods import find_light_methods
from node.rpc.errors import MethodNotFound, Reverted, ServerError
from node.rpc.registry import find_methods
from node.spec.transition import created_address
from tests.node.light.network import Network, ask, deploy, hexed
from tests.node.workshop import MINER, POOR, RICH, sign


def test_answers_are_those_of_a_full_node(settled: Network, contract: bytes) -> None:
    with settled.light() as light:
        assert not light.follower.follow()
        assert light.head() == settled.a.node.head()
        questions: list[tuple[Any, ...]] = [("eth_blockNumber",), ("eth_chainId",)]
        for where in ("latest", "0x2", "earliest"):
            questions += [
                ("eth_getBalance", hexed(address), where)
                for address in (RICH, POOR, MINER, bytes(20))
            ]
            questions += [
                ("eth_getTransactionCount", hexed(RICH), where),
                ("eth_getCode", hexed(contract), where),
                ("eth_getStorageAt", hexed(contract), "0x1", where),
                ("eth_getStorageAt", hexed(contract), "0x2", where),
                ("eth_call", {"to": hexed(contract)}, where),
            ]
        questions += [
            ("eth_estimateGas", {"from": hexed(RICH), "to": hexed(POOR), "value": "0x1"}),
            ("eth_estimateGas", {"to": hexed(contract), "data": hexed(bytes(32))}),
            ("eth_getLogs", {"fromBlock": "0x0", "address": hexed(contract)}),
            ("eth_getBlockReceipts", "0x2"),
            ("eth_getHeaderByNumber", "0x3"),
        ]
        for name, *params in questions:
            assert ask(light, name, *params) == ask(settled.a.node, name, *params), (name, params)
        assert int(ask(light, "eth_call", {"to": hexed(contract)}), 16) == 9
        assert int(ask(light, "eth_call", {"to": hexed(contract)}, "0x1"), 16) == 7


def test_transactions_and_blocks_are_proven(settled: Network, contract: bytes) -> None:
    full = settled.a.node
    with settled.light() as light:
        light.follower.follow()
        for number in range(5):
            whole = ask(full, "eth_getBlockByNumber", hex(number), True)
            del whole["inferCalls"]
            assert ask(light, "eth_getBlockByNumber", hex(number), True) == whole
            for transaction in whole["transactions"]:
                for name in ("eth_getTransactionByHash", "eth_getTransactionReceipt"):
                    shown = ask(light, name, transaction["hash"])
                    assert shown == ask(full, name, transaction["hash"]) is not None
        assert ask(light, "eth_getTransactionByHash", "0x" + "11" * 32) is None


def test_a_transaction_is_handed_on(network: Network) -> None:
    network.mine()
    with network.light() as light:
        light.follower.follow()
        transaction = sign(0, value=7)
        told = ask(light, "eth_sendRawTransaction", hexed(transaction.encode()))
        assert told == hexed(transaction.hash())
        assert network.a.node.mempool.get(transaction.hash()) == transaction
        assert network.b.node.mempool.get(transaction.hash()) == transaction
        network.mine()
        light.follower.follow()
        assert int(ask(light, "eth_getBalance", hexed(POOR)), 16) == 7


def test_what_a_light_node_cannot_know_it_does_not_say(network: Network) -> None:
    with network.light() as light:
        for name in ("ctxc_models", "eth_getWork", "txpool_status", "stratum_balances"):
            assert name in find_methods()
            with pytest.raises(MethodNotFound, match="light node cannot answer"):
                ask(light, name)
        assert find_light_methods().keys() >= find_methods().keys()


def test_a_failing_call_says_what_the_contract_says(network: Network) -> None:
    network.a.node.send(sign(0, to=None, data=deploy(bytes.fromhex("60aa60005260206000fd"))))
    network.mine()
    address = hexed(created_address(RICH, 0))
    with network.light() as light:
        light.follower.follow()
        with pytest.raises(Reverted) as caught:
            ask(light, "eth_call", {"to": address})
        assert int(caught.value.data, 16) == 0xAA
        with pytest.raises(ServerError):
            ask(light, "eth_call", {"from": hexed(POOR), "to": hexed(RICH), "value": "0x1"})
