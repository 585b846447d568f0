"""What the node is and whom it knows."""

from __future__ import annotations

from typing import Any

from node.core import CLIENT_VERSION, Node
from node.rpc.forms import hexbytes, parse_bytes, quantity
from node.spec.crypto import keccak


def chain_id(node: Node) -> str:
    return quantity(node.chain.chain_id)


def network_id(node: Node) -> str:
    return str(node.chain.network_id)


def listening(node: Node) -> bool:
    return bool(node.peer_board.listening)


def peer_count(node: Node) -> str:
    return quantity(node.peer_board.connected)


def client_version(node: Node) -> str:
    return CLIENT_VERSION


def sha3(node: Node, data: Any) -> str:
    return hexbytes(keccak(parse_bytes(data)))


def syncing(node: Node) -> bool | dict[str, str]:
    """False while no peer is known to be well ahead."""
    progress = node.peer_board.syncing
    if progress is None:
        return False
    return {
        "startingBlock": quantity(progress.starting),
        "currentBlock": quantity(node.head().number),
        "highestBlock": quantity(progress.highest),
    }


def accounts(node: Node) -> list[str]:
    """Always empty: keys belong in wallets, the node signs for no one."""
    return []


def coinbase(node: Node) -> str:
    return hexbytes(node.coinbase)


METHODS = {
    "eth_chainId": chain_id,
    "net_version": network_id,
    "net_listening": listening,
    "net_peerCount": peer_count,
    "web3_clientVersion": client_version,
    "web3_sha3": sha3,
    "eth_syncing": syncing,
    "eth_accounts": accounts,
    "eth_coinbase": coinbase,
}
