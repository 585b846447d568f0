"""Money: the coins there are, what this node earned, and what an inference costs."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.earnings import WINDOW_LIMIT, count_earnings
from node.rpc.errors import InvalidParams, ServerError
from node.rpc.forms import parse_quantity, quantity
from node.rpc.methods.models import need_entry
from node.rpc.views import Json
from node.spec.meta import ModelMeta
from node.spec.rewards import block_reward
from node.spec.vm import InferLogicError, InferRuntimeError
from node.spec.vm.schedule import INFER_ARRAY_GAS, INFER_OPERATIONS_PER_GAS

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


def estimate_infer(node: Node, model: Any) -> Json:
    """What one inference of a model costs: gas by its operations, what its author asks, and the
    fee in wei at the suggested price. The call's own gas comes on top."""
    entry = need_entry(node, model)
    if not isinstance(entry.meta, ModelMeta):
        raise InvalidParams("an input, not a model, is at this address")
    try:
        operations = node.inference.operations(entry.meta.hash, entry.meta.raw_size)
    except (InferLogicError, InferRuntimeError) as error:
        raise ServerError(f"the model's operations are not known: {error}") from error
    infer = operations // INFER_OPERATIONS_PER_GAS
    price, author = node.gas_price.suggest(), entry.meta.gas
    return {
        "operations": quantity(operations),
        "authorGas": quantity(author),
        "inferGas": quantity(infer + author),
        "inferArrayGas": quantity(max(infer, INFER_ARRAY_GAS) + author),
        "gasPrice": quantity(price),
        "inferFee": quantity((infer + author) * price),
        "inferArrayFee": quantity((max(infer, INFER_ARRAY_GAS) + author) * price),
        "authorShare": quantity(author * price),
    }


METHODS = {
    "ctxc_economics": economics,
    "ctxc_estimateInfer": estimate_infer,
    "eth_gasPrice": gas_price,
}
