"""The JSON-RPC of a light node: a full node's functions over proven headers, state and blocks.

What cannot be proven to it is not answered, and says so: but for the price of gas, which is a
feed's word, and transactions that no feed knows of, as nothing proves that there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from node.light.node import LightNode
from node.rpc.errors import InvalidParams, MethodNotFound
from node.rpc.forms import hexbytes, parse_bytes, parse_flag, parse_hash, quantity
from node.rpc.lookup import find_block
from node.rpc.registry import Method, describe, find_methods
from node.rpc.views import Json, block_view
from node.spec.rlp import RlpError
from node.spec.types import Block, Transaction

#: Functions of a full node that read headers, state and whole blocks alone.
SHARED = (
    *("eth_blockNumber", "eth_getHeaderByNumber", "eth_getHeaderByHash"),
    *("eth_getBlockTransactionCountByNumber", "eth_getBlockTransactionCountByHash"),
    *("eth_getUncleCountByBlockNumber", "eth_getUncleCountByBlockHash"),
    *("eth_getUncleByBlockNumberAndIndex", "eth_getUncleByBlockHashAndIndex"),
    *("eth_getBlockReceipts", "eth_getLogs", "eth_getTransactionByHash"),
    *("eth_getTransactionByBlockNumberAndIndex", "eth_getTransactionByBlockHashAndIndex"),
    *("eth_getTransactionReceipt", "eth_getBalance", "eth_getTransactionCount", "eth_getCode"),
    *("eth_getStorageAt", "ctxc_getUpload", "eth_call", "eth_estimateGas", "eth_chainId"),
    *("net_version", "net_listening", "web3_clientVersion", "web3_sha3", "eth_accounts"),
    *("debug_getRawBlock", "debug_getRawHeader", "debug_getRawReceipts"),
    *("eth_newFilter", "eth_newBlockFilter", "eth_getFilterChanges", "eth_getFilterLogs"),
    *("eth_uninstallFilter", "eth_syncing", "net_peerCount", "peers_status"),
)


def get_block_by_number(node: LightNode, where: Any, full: Any = False) -> Json | None:
    return _show(node, find_block(node, where), parse_flag(full))  # type: ignore[arg-type]


def get_block_by_hash(node: LightNode, block_hash: Any, full: Any = False) -> Json | None:
    block = node.store.block(parse_hash(block_hash, "blockHash"))
    return _show(node, block, parse_flag(full))


def _show(node: LightNode, block: Block | None, full: bool) -> Json | None:
    """Without the count of inferences, which only who executes a block knows."""
    if block is None:
        return None
    return block_view(node.chain, block, node.store.total_difficulty(block.hash()), full)


def send_raw_transaction(node: LightNode, raw: Any) -> str:
    """The feeds judge it."""
    try:
        transaction = Transaction.decode(parse_bytes(raw, name="transaction"))
    except RlpError as error:
        raise InvalidParams(f"not a legacy transaction: {error}") from error
    node.send(transaction)
    return hexbytes(transaction.hash())


def gas_price(node: LightNode) -> str:
    """As a feed says it; there is no proof of a price."""
    return quantity(node.feeds.ask("the gas price", lambda feed: feed.gas_price()))


OWN: Mapping[str, Callable[..., Any]] = {
    "eth_getBlockByNumber": get_block_by_number,
    "eth_getBlockByHash": get_block_by_hash,
    "eth_sendRawTransaction": send_raw_transaction,
    "eth_gasPrice": gas_price,
}


@cache
def find_light_methods() -> Mapping[str, Method]:
    """By name, aliases too; those of a full node that are not answered here say so."""
    full = find_methods()
    found = {name: full[name] for name in SHARED}
    found |= {name: describe(function) for name, function in OWN.items()}
    found |= {f"ctxc_{name[4:]}": m for name, m in found.items() if name.startswith("eth_")}
    return {name: _refuse(name) for name in full} | found


def _refuse(name: str) -> Method:
    def answer(node: LightNode, *params: Any) -> Any:
        raise MethodNotFound(f"a light node cannot answer {name}; ask a full node")

    return Method(answer, 0, 2**31, False)
