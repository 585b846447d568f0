"""Executing without a transaction: ``eth_call`` and ``eth_estimateGas``.

INFER goes the same way as in a block: where no engine answers, so does the error say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode as decode_abi
from eth_abi.exceptions import DecodingError

from node.core import Node
from node.execution import Ancestry
from node.rpc.errors import InvalidParams, Reverted, ServerError
from node.rpc.forms import hexbytes, parse_address, parse_bytes, parse_quantity, quantity
from node.rpc.lookup import need_header
from node.spec.gas import intrinsic_gas
from node.spec.state import State
from node.spec.transition import block_context
from node.spec.types import Header
from node.spec.vm import InferRuntimeError, Message, Outcome, TransactionContext, execute
from node.spec.vm.errors import Reverted as FrameReverted

CALL_GAS = 50_000_000
ERROR_SELECTOR = bytes.fromhex("08c379a0")
#: An estimate is exact to one part in this many.
PRECISION = 64


@dataclass(frozen=True)
class Call:
    """What would be executed; ``gas`` None means as much as allowed."""

    sender: bytes
    to: bytes | None
    value: int
    data: bytes
    gas: int | None
    gas_price: int


def call(node: Node, request: Any, where: Any = "latest") -> str:
    wanted = parse_call(request)
    header = need_header(node, where)
    outcome = run_call(node, wanted, header, min(wanted.gas or CALL_GAS, CALL_GAS))
    if outcome.error is not None:
        raise explain(outcome)
    return hexbytes(outcome.output)


def estimate_gas(node: Node, request: Any, where: Any = "latest") -> str:
    """The smallest limit that succeeds, within 1/64: what is used may be less than what is
    needed, because a call keeps a part of its gas back."""
    wanted = parse_call(request)
    header = need_header(node, where)
    state = node.state_at(header)
    start = start_gas(node, wanted, header, state)
    limit = min(wanted.gas or header.gas_limit, header.gas_limit)
    if limit < start:
        raise ServerError(f"gas limit {limit} is below what it takes to start: {start}")
    outcome = run_call(node, wanted, header, limit - start)
    if outcome.error is not None:
        raise explain(outcome)
    low, high = limit - outcome.gas_left - 1, limit
    while high - low > max(1, low // PRECISION):
        # The first try is close: what was used and a little.
        middle = min((low + high) // 2, low + max(1, low // PRECISION))
        if run_call(node, wanted, header, middle - start).error is None:
            high = middle
        else:
            low = middle
    return quantity(high)


def start_gas(node: Node, wanted: Call, header: Header, state: State) -> int:
    uploads = bool(wanted.to and not wanted.value and state.get_upload(wanted.to))
    istanbul = node.chain.is_istanbul(header.number)
    return intrinsic_gas(wanted.data, wanted.to is None, uploads, istanbul)


def run_call(node: Node, wanted: Call, header: Header, gas: int) -> Outcome:
    """Execute on the state after ``header``; raises `ServerError` where inference waits."""
    state = node.state_at(header)
    fee = gas * wanted.gas_price + wanted.value
    if wanted.value and state.get_balance(wanted.sender) < fee:
        raise ServerError("insufficient funds for gas * price + value")
    state.begin_transaction()
    if wanted.to is not None:
        state.set_nonce(wanted.sender, state.get_nonce(wanted.sender) + 1)
    parent = node.store.header(header.parent_hash) or header
    message = Message(wanted.sender, wanted.to, wanted.value, wanted.data, gas)
    usable = node.index.view(header, header.number)
    context = block_context(node.chain, header, Ancestry(node.store, parent), usable)
    try:
        return execute(
            state,
            context,
            TransactionContext(wanted.sender, wanted.gas_price),
            message,
            node.inference,
            node.interpret,
        )
    except InferRuntimeError as error:
        raise ServerError(f"inference is not available: {error}") from error


def explain(outcome: Outcome) -> Reverted | ServerError:
    """A failed outcome as an error; a revert carries what the contract returned."""
    if not isinstance(outcome.error, FrameReverted):
        return ServerError(str(outcome.error))
    reason = revert_reason(outcome.output)
    message = f"execution reverted: {reason}" if reason else "execution reverted"
    return Reverted(message, hexbytes(outcome.output))


def revert_reason(output: bytes) -> str:
    """The text of Solidity's ``Error(string)``; empty for anything else."""
    if output[:4] != ERROR_SELECTOR:
        return ""
    try:
        (text,) = decode_abi(["string"], output[4:])
    except (DecodingError, UnicodeDecodeError, OverflowError):
        return ""
    return str(text)


def parse_call(request: Any) -> Call:
    if not isinstance(request, dict):
        raise InvalidParams("a call is an object with from, to, data, value, gas, gasPrice")
    data = request.get("input", request.get("data"))
    to = request.get("to")
    gas = request.get("gas")
    return Call(
        sender=parse_address(request["from"], "from") if request.get("from") else bytes(20),
        to=parse_address(to, "to") if to else None,
        value=parse_quantity(request.get("value") or "0x0", "value"),
        data=parse_bytes(data, name="data") if data else b"",
        gas=parse_quantity(gas, "gas") if gas else None,
        gas_price=parse_quantity(request.get("gasPrice") or "0x0", "gasPrice"),
    )


METHODS = {"eth_call": call, "eth_estimateGas": estimate_gas}
