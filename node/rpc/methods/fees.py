"""What a transaction pays. There is no base fee on this chain: the whole price goes to whoever
mines the block, so a client that asks for a priority fee is told the price."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

from node.core import Node
from node.rpc.errors import InvalidParams
from node.rpc.forms import parse_quantity, quantity
from node.rpc.lookup import need_header
from node.rpc.methods.economics import gas_price
from node.rpc.registry import heavy
from node.rpc.views import Json
from node.spec.types import Block, Header

MAX_BLOCKS = 1024
MAX_PERCENTILES = 100


@heavy
def fee_history(node: Node, count: Any, newest: Any, percentiles: Any = None) -> Json:
    """Of the last ``count`` blocks: how full they were, and the prices paid at percentiles of
    their gas."""
    wanted = _percentiles(percentiles)
    headers = _headers(node, need_header(node, newest), _count(count))
    history: Json = {
        "oldestBlock": quantity(headers[0].number if headers else 0),
        "baseFeePerGas": ["0x0"] * (len(headers) + 1 if headers else 0),
        "gasUsedRatio": [h.gas_used / h.gas_limit for h in headers],
    }
    if wanted:
        history["reward"] = [
            [quantity(p) for p in _prices_at(node, node.store.block(h.hash()), wanted)]
            for h in headers
        ]
    return history


def _count(count: Any) -> int:
    number = count if type(count) is int and count >= 0 else parse_quantity(count, "block count")
    return min(number, MAX_BLOCKS)


def _percentiles(listed: Any) -> list[float]:
    if listed is None:
        return []
    if not isinstance(listed, list) or len(listed) > MAX_PERCENTILES:
        raise InvalidParams(f"percentiles: a list of at most {MAX_PERCENTILES}")
    if not all(type(p) in (int, float) and 0 <= p <= 100 for p in listed):
        raise InvalidParams("percentiles: numbers from 0 to 100")
    if any(later < earlier for earlier, later in pairwise(listed)):
        raise InvalidParams("percentiles: ascending")
    return listed


def _headers(node: Node, newest: Header, count: int) -> list[Header]:
    """Oldest first."""
    found: list[Header] = []
    header: Header | None = newest
    while header is not None and len(found) < count:
        found.append(header)
        header = node.store.header(header.parent_hash)
    return found[::-1]


def _prices_at(node: Node, block: Block | None, percentiles: list[float]) -> list[int]:
    """The price per gas below which that percentage of the block's gas was paid for."""
    if block is None or not block.transactions:
        return [0] * len(percentiles)
    totals = [0, *(r.cumulative_gas_used for r in node.store.receipts(block.hash()))]
    used = [after - before for before, after in pairwise(totals)]
    paid = sorted(zip((t.gas_price for t in block.transactions), used, strict=True))
    sums = list(accumulate(gas for _, gas in paid))
    return [
        next(price for (price, _), s in zip(paid, sums, strict=True) if s >= sums[-1] * p / 100)
        for p in percentiles
    ]


METHODS = {
    "eth_maxPriorityFeePerGas": gas_price,
    "eth_feeHistory": fee_history,
}
