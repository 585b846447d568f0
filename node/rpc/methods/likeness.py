"""Copies: which earlier models a model is alike to, and how much."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.errors import EngineUnavailable, ModelFault
from node.models.index import Registered
from node.models.likeness import Kind, Likeness
from node.rpc.errors import InvalidParams, ServerError
from node.rpc.forms import hexbytes
from node.rpc.methods.models import need_entry
from node.rpc.registry import heavy
from node.rpc.views import Json
from node.spec.meta import ModelMeta


def report_likeness(node: Node, model: Any) -> Json:
    """Earlier models that this one is a copy of, the likest first; ``pending`` says why there is
    no comparison yet, and is empty where there is one."""
    entry = _need_model(node, model)
    infohash = entry.meta.hash
    found = [
        {"earlier": _name(node, bytes.fromhex(each.earlier)), **likeness_view(each.likeness)}
        for each in node.likeness.found(infohash)
    ]
    origin = node.likeness.origin(infohash)
    if origin not in (b"", entry.address):
        same = {"address": hexbytes(origin), "infohash": infohash.hex()}
        found.insert(0, {"earlier": same, **likeness_view(SAME)})
    return {"likenesses": found, "pending": node.likeness.state(infohash)}


@heavy
def compare_models(node: Node, earlier: Any, later: Any) -> Json:
    """Two models in full, by address."""
    left, right = _need_model(node, earlier), _need_model(node, later)
    if left.meta.hash == right.meta.hash:
        return likeness_view(SAME)
    try:
        return likeness_view(node.likeness.compare(left.meta.hash, right.meta.hash))
    except (EngineUnavailable, ModelFault) as error:
        raise ServerError(f"cannot be compared: {error}") from error


SAME = Likeness(Kind.SAME_FILES, 1.0, 1.0, 1.0, 0, 0, True)


def likeness_view(found: Likeness) -> Json:
    return {
        "kind": str(found.kind),
        "isCopy": found.is_copy,
        "cosine": round(found.cosine, 4),
        "plainCosine": round(found.plain_cosine, 4),
        "covered": round(found.covered, 4),
        "identicalTensors": found.identical_tensors,
        "tensors": found.tensors,
        "sameArchitecture": found.same_architecture,
    }


def _name(node: Node, infohash: bytes) -> Json:
    address = node.likeness.origin(infohash)
    return {"address": hexbytes(address) if address else None, "infohash": infohash.hex()}


def _need_model(node: Node, address: Any) -> Registered:
    entry = need_entry(node, address)
    if not isinstance(entry.meta, ModelMeta):
        raise InvalidParams("an input, not a model, is at this address")
    return entry


METHODS = {"ctxc_likeness": report_likeness, "ctxc_compareModels": compare_models}
