"""What the pool at this node owes and found (`node.stratum`); amounts in wei."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.rpc.forms import hexbytes, quantity
from node.stratum.finds import read_balances, read_finds

MAX_FINDS = 100


def balances(node: Node) -> list[dict[str, str]]:
    """Of every miner's account, the largest due first."""
    found = sorted(read_balances(node.store).items(), key=lambda b: b[1].due, reverse=True)
    return [
        {
            "address": hexbytes(account),
            "credited": quantity(balance.credited),
            "paid": quantity(balance.paid),
            "due": quantity(balance.due),
        }
        for account, balance in found
    ]


def finds(node: Node) -> list[dict[str, Any]]:
    """The newest blocks that miners found."""
    return [
        {
            "number": quantity(find.number),
            "hash": hexbytes(find.block_hash),
            "finder": hexbytes(find.finder),
            "time": quantity(find.found_at),
            "state": find.state.value,
            "income": quantity(find.income_wei),
        }
        for find in read_finds(node.store)[:MAX_FINDS]
    ]


METHODS = {"stratum_balances": balances, "stratum_blocks": finds}
