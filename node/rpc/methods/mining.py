"""Work for miners that speak to the node directly (cortex-protocol §3)."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.errors import NodeError, SubmissionRefused
from node.rpc.forms import hexbytes, parse_bytes, parse_hash, parse_quantity, quantity

EDGE_BYTES = 4


def get_work(node: Node) -> list[str]:
    """Seal hash, 32 zero bytes, target, height."""
    package = node.desk.current()
    return [
        hexbytes(package.seal_hash),
        hexbytes(bytes(32)),
        hexbytes(package.target.to_bytes(32, "big")),
        quantity(package.height),
    ]


def submit_work(node: Node, nonce: Any, seal_hash: Any, solution: Any) -> bool:
    """False for stale, duplicate, too easy or wrong; the node's log says which."""
    edges_raw = parse_bytes(solution, EDGE_BYTES * node.chain.proof_size, "solution")
    edges = tuple(
        int.from_bytes(edges_raw[i : i + EDGE_BYTES], "big")
        for i in range(0, len(edges_raw), EDGE_BYTES)
    )
    number = int.from_bytes(parse_bytes(nonce, 8, "nonce"), "big")
    try:
        node.submit(parse_hash(seal_hash, "seal hash"), number, edges)
    except SubmissionRefused:
        return False
    return True


def submit_hashrate(node: Node, rate: Any, ident: Any) -> bool:
    """Graphs per second of one miner; forgotten after 10 s."""
    return node.hashrates.report(parse_hash(ident, "id"), parse_quantity(rate, "rate"))


def hashrate(node: Node) -> str:
    return quantity(node.hashrates.total())


def mining(node: Node) -> bool:
    try:
        node.desk.current()
    except NodeError:
        return False
    return True


METHODS = {
    "eth_getWork": get_work,
    "eth_submitWork": submit_work,
    "eth_submitHashrate": submit_hashrate,
    "eth_submitHashRate": submit_hashrate,
    "eth_hashrate": hashrate,
    "eth_mining": mining,
}
