"""Models and inputs on the chain: what a dashboard or a buyer wants to know of them."""

from __future__ import annotations

import heapq
import re
from typing import Any

from node.core import Node
from node.models.index import Registered, read_entry
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.forms import hexbytes, parse_address, quantity
from node.rpc.views import Json
from node.spec.meta import InputMeta, ModelMeta

MAX_LISTED = 1000
_INFOHASH = re.compile(r"[0-9a-f]{40}")


def list_models(node: Node) -> list[Json]:
    """Every model at the head, newest first, at most 1000."""
    newest = heapq.nlargest(MAX_LISTED, node.index.models(), key=lambda each: each[0].number)
    return [describe(node, entry) for entry, _ in newest]


def get_model(node: Node, address: Any) -> Json:
    """A model or input account; `ResourceNotFound` where the account is neither."""
    return describe(node, need_entry(node, address))


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


def need_entry(node: Node, address: Any) -> Registered:
    """Raises `ResourceNotFound` where the account is neither a model nor an input."""
    key = parse_address(address)
    found = node.index.find(key) or read_entry(node.state_at(node.head()), key)
    if found is None:
        raise ResourceNotFound("no model or input at this address")
    return found


def describe(node: Node, entry: Registered) -> Json:
    meta = entry.meta
    reason = unusable_reason(node, entry)
    common = {
        "address": hexbytes(entry.address),
        "infohash": meta.hash.hex(),
        "comment": meta.comment.decode(errors="replace"),
        "rawSize": quantity(meta.raw_size),
        "block": quantity(entry.number),
        "upload": quantity(entry.upload),
        "usable": not reason,
        "reason": reason,
    }
    return {**common, **(_model(node, meta) if isinstance(meta, ModelMeta) else _input(meta))}


def unusable_reason(node: Node, entry: Registered) -> str:
    """Why an INFER in the next block would refuse it (cortex-protocol §4); empty if none."""
    if entry.upload:
        return f"{entry.upload} bytes are still to be uploaded"
    ripe = entry.ripe_block(node.chain)
    if ripe is None:
        return "its metadata named a block number when it was created"
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


METHODS = {
    "ctxc_models": list_models,
    "ctxc_getModel": get_model,
    "ctxc_inferences": list_inferences,
}
