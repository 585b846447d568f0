"""Models and inputs on the chain: what a dashboard or a buyer wants to know of them."""

from __future__ import annotations

import re
from typing import Any

from node.core import Node
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.forms import hexbytes, parse_address, quantity
from node.rpc.views import Json
from node.spec.meta import InputMeta, ModelMeta, decode_meta, is_input, is_model
from node.spec.rlp import RlpError
from node.spec.state import State

MAX_LISTED = 1000
_INFOHASH = re.compile(r"[0-9a-f]{40}")


def list_models(node: Node) -> list[Json]:
    """Every model at the head, newest first, at most 1000."""
    found = [m for m in _metas(node) if m["kind"] == "model"]
    return sorted(found, key=lambda m: int(m["block"], 16), reverse=True)[:MAX_LISTED]


def get_model(node: Node, address: Any) -> Json:
    """A model or input account; `ResourceNotFound` where the account is neither."""
    key = parse_address(address)
    found = describe(node, node.state_at(node.head()), key)
    if found is None:
        raise ResourceNotFound("no model or input at this address")
    return found


def list_inferences(node: Node, infohash: Any) -> list[Json]:
    """Inferences of a model computed since the node's start, oldest first, at most 1000: on
    which device, how long it took, and whether the CVM's reference has confirmed it."""
    return [
        {
            "time": each.time,
            "inputHash": "0x" + each.input_hash,
            "device": each.device,
            "milliseconds": each.milliseconds,
            "checked": each.checked,
        }
        for each in node.inference.recent(parse_infohash(infohash))
    ]


def parse_infohash(value: Any) -> str:
    text = str(value).lower().removeprefix("0x")
    if not _INFOHASH.fullmatch(text):
        raise InvalidParams("an infohash has 40 hex digits")
    return text


def describe(node: Node, state: State, address: bytes) -> Json | None:
    code = state.get_code(address)
    if not (is_model(code) or is_input(code)):
        return None
    try:
        meta = decode_meta(code)
    except RlpError:
        return None
    reason = unusable_reason(node, state, address)
    common = {
        "address": hexbytes(address),
        "infohash": meta.hash.hex(),
        "comment": meta.comment.decode(errors="replace"),
        "rawSize": quantity(meta.raw_size),
        "block": quantity(state.get_num(address)),
        "upload": quantity(state.get_upload(address)),
        "usable": not reason,
        "reason": reason,
    }
    return {**common, **(_model(node, meta) if isinstance(meta, ModelMeta) else _input(meta))}


def unusable_reason(node: Node, state: State, address: bytes) -> str:
    """Why an INFER in the next block would refuse it (cortex-protocol §4); empty if none."""
    upload, number = state.get_upload(address), state.get_num(address)
    if upload:
        return f"{upload} bytes are still to be uploaded"
    if number == 0:
        return "its metadata named a block number when it was created"
    ripe = number + node.chain.mature_blocks
    if node.head().number + 1 < ripe:
        return f"it matures in block {ripe}"
    return ""


def _model(node: Node, meta: ModelMeta) -> Json:
    return {
        "kind": "model",
        "inputShape": list(meta.input_shape),
        "outputShape": list(meta.output_shape),
        "gas": quantity(meta.gas),
        "author": hexbytes(meta.author),
        "calls": quantity(node.store.count_calls(meta.hash)),
    }


def _input(meta: InputMeta) -> Json:
    return {"kind": "input", "shape": list(meta.shape)}


def _metas(node: Node) -> list[Json]:
    state = node.state_at(node.head())
    found = (describe(node, state, address) for address in node.store.meta_addresses())
    return [m for m in found if m is not None]


METHODS = {
    "ctxc_models": list_models,
    "ctxc_getModel": get_model,
    "ctxc_inferences": list_inferences,
}
