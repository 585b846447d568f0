"""Executing without a transaction: ``eth_call`` and ``eth_estimateGas``.

INFER goes the same way as in a block: where no engine answers, so does the error say.
"""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode as decode_abi
from eth_abi.exceptions import DecodingError

from node.core import Node
from node.rpc.errors import InvalidParams, Reverted, ServerError
from node.rpc.forms import hexbytes, parse_address, parse_bytes, parse_quantity, quantity
from node.rpc.lookup import need_header
from node.rpc.registry import heavy
from node.rpc.simulation.calls import Call, CallResult

ERROR_SELECTOR = bytes.fromhex("08c379a0")
MAX_GAS = 2**63 - 1


@heavy
def call(node: Node, request: Any, where: Any = "latest") -> str:
    found = node.calls.call(parse_call(request), need_header(node, where), node.rpc.call_gas)
    if found.error:
        raise explain(found)
    return hexbytes(found.output)


@heavy
def estimate_gas(node: Node, request: Any, where: Any = "latest") -> str:
    """The smallest limit that succeeds, or within 1/64 of it."""
    found = node.calls.estimate(parse_call(request), need_header(node, where))
    if found.error:
        raise explain(found)
    return quantity(found.gas)


def explain(failed: CallResult) -> Reverted | ServerError:
    """A failure as an error; a revert carries what the contract returned."""
    if not failed.is_reverted:
        return ServerError(failed.error)
    reason = revert_reason(failed.output)
    message = f"execution reverted: {reason}" if reason else "execution reverted"
    return Reverted(message, hexbytes(failed.output))


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
    """Raises `InvalidParams`. Fees of the kinds that this chain does not have count as the price:
    the greater of the two is what the sender is ready to pay."""
    if not isinstance(request, dict):
        raise InvalidParams("a call is an object with from, to, data, value, gas, gasPrice")
    data = request.get("input") or request.get("data")
    if request.get("input") and request.get("data") and request["input"] != request["data"]:
        raise InvalidParams("data and input differ; give one of them")
    to, sender, gas = request.get("to"), request.get("from"), request.get("gas")
    price = request.get("gasPrice") or request.get("maxFeePerGas")
    return Call(
        sender=parse_address(sender, "from") if sender else bytes(20),
        to=parse_address(to, "to") if to else None,
        value=parse_quantity(request.get("value") or "0x0", "value"),
        data=parse_bytes(data, name="data") if data else b"",
        gas=min(parse_quantity(gas, "gas"), MAX_GAS) if gas else None,
        gas_price=parse_quantity(price or "0x0", "gasPrice"),
    )


METHODS = {"eth_call": call, "eth_estimateGas": estimate_gas}
