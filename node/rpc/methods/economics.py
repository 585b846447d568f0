"""Money: the coins there are, what this node earned, and what an inference costs."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.earnings import WINDOW_LIMIT, count_earnings
from node.rpc.errors import InvalidParams
from node.rpc.forms import parse_quantity, quantity
from node.rpc.views import Json
from node.spec.rewards import block_reward

WINDOW = 1000


def economics(node: Node, blocks: Any = None) -> Json:
    """Coins now, the reward, and what the newest blocks (1000 unless told) gave this node."""
    window = WINDOW if blocks is None else parse_quantity(blocks, "blocks")
    if not 0 < window <= WINDOW_LIMIT:
        raise InvalidParams(f"blocks: 1 … {WINDOW_LIMIT}")
    chain, head = node.chain, node.head()
    earned = count_earnings(chain, node.store, node.coinbase, window)
    following = head.number + 1
    era = chain.reward_halving_blocks
    return {
        "number": quantity(head.number),
        "supply": quantity(head.supply),
        "cap": quantity(chain.supply_cap_wei),
        "left": quantity(chain.supply_cap_wei - head.supply),
        "reward": quantity(min(block_reward(chain, following), chain.supply_cap_wei - head.supply)),
        "halving": quantity((following // era + 1) * era),
        "blocks": earned.blocks,
        "found": earned.found,
        "earned": quantity(earned.earned_wei),
        "blockSeconds": earned.block_seconds,
        "balance": quantity(node.state_at(head).get_balance(node.coinbase)),
        "gasPrice": quantity(node.gas_price.suggest()),
    }


def gas_price(node: Node) -> str:
    """What has been enough in the newest blocks."""
    return quantity(node.gas_price.suggest())


METHODS = {"ctxc_economics": economics, "eth_gasPrice": gas_price}
