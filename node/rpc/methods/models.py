"""Models and inputs on the chain: what a dashboard or a buyer wants to know of them."""

from __future__ import annotations

import heapq
import re
from typing import Any

from node.core import Node
from node.models.card import find_card, find_reference
from node.models.errors import StorageError
from node.models.index import Registered, read_entry
from node.models.likeness import Kind
from node.models.scores import Rating
from node.models.storage import Whereabouts
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.forms import hexbytes, parse_address, parse_flag, quantity
from node.rpc.methods.publishing import find_standing, show_standing
from node.rpc.registry import heavy
from node.rpc.views import Json
from node.spec.meta import InputMeta, ModelMeta

MAX_LISTED = 1000
_INFOHASH = re.compile(r"[0-9a-f]{40}")


@heavy
def list_models(node: Node, withdrawn: Any = False) -> list[Json]:
    """The models at the head, newest first, at most 1000; with those that their authors have
    withdrawn where that is asked for."""
    everything = parse_flag(withdrawn, "withdrawn")
    newest = heapq.nlargest(MAX_LISTED, node.index.models(), key=lambda each: each[0].number)
    described = (describe(node, entry) for entry, _ in newest)
    return [each for each in described if everything or not each["withdrawn"]]


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
    lies = node.loader.storage.locate(meta.hash)
    unripe = unusable_reason(node, entry)
    reason = unripe or scarce_reason(lies)
    common = {
        "address": hexbytes(entry.address),
        "infohash": meta.hash.hex(),
        "comment": meta.comment.partition(b"\n")[0].decode(errors="replace"),
        "rawSize": quantity(meta.raw_size),
        "block": quantity(entry.number),
        "upload": quantity(entry.upload),
        "ripe": not unripe,
        "usable": not reason,
        "reason": reason,
        "storage": show_whereabouts(lies),
    }
    if isinstance(meta, InputMeta):
        return {**common, "kind": "input", "shape": list(meta.shape)}
    said = show_standing(node, entry.address, find_standing(node, entry.address, meta))
    copied = find_origin(node, entry.address, meta)
    return {
        **common,
        **_model(node, entry.address, meta),
        **_card(node, meta),
        **said,
        "copyOf": {"address": hexbytes(copied[0]), "kind": str(copied[1])} if copied else None,
    }


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


def scarce_reason(lies: Whereabouts) -> str:
    """Why this node does not call it usable though consensus would; empty if it does."""
    if lies.is_replicated:
        return ""
    return f"{lies.copies} of {lies.required} copies are known"


def show_whereabouts(lies: Whereabouts) -> Json:
    return {
        "here": lies.here,
        "copies": quantity(lies.copies),
        "required": quantity(lies.required),
        "elsewhere": {source: quantity(count) for source, count in lies.elsewhere.items()},
        "fetched": lies.fetched_ratio,
        "problem": lies.problem,
    }


def get_storage(node: Node, infohash: Any) -> Json:
    """Where a content lies: here, in how many copies elsewhere (by who counted them), how much
    of it is fetched while it is, and why fetching failed."""
    return show_whereabouts(node.loader.storage.locate(bytes.fromhex(parse_infohash(infohash))))


def _model(node: Node, address: bytes, meta: ModelMeta) -> Json:
    ratings = node.scores.ratings(address)
    return {
        "kind": "model",
        "inputShape": list(meta.input_shape),
        "outputShape": list(meta.output_shape),
        "gas": quantity(meta.gas),
        "author": hexbytes(meta.author),
        "calls": quantity(node.store.count_calls(meta.hash)),
        "created": quantity(meta.block_num),
        "ratings": {str(metric): rating_view(rating) for metric, rating in ratings.items()},
    }


def find_origin(node: Node, address: bytes, meta: ModelMeta) -> tuple[bytes, Kind] | None:
    """The earlier model on this chain that a model is likest to, if it is a copy of one."""
    first = node.likeness.origin(meta.hash)
    if first not in (b"", address):
        return first, Kind.SAME_FILES
    for found in node.likeness.found(meta.hash):
        earlier = node.likeness.origin(bytes.fromhex(found.earlier))
        if earlier:
            return earlier, found.likeness.kind
    return None


def rating_view(rating: Rating) -> Json:
    return {"median": f"{rating.median:.6f}", "scorers": rating.scorers}


def _card(node: Node, meta: ModelMeta) -> Json:
    """The card, or why the one that is named cannot be shown."""
    named = find_reference(meta.comment)
    if named is not None and not node.loader.storage.contains(named):
        return {"card": None, "cardProblem": f"the card {named.hex()} is not here yet"}
    try:
        card = find_card(meta, node.loader.storage)
    except StorageError as error:
        return {"card": None, "cardProblem": str(error)}
    return {"card": card.model_dump(mode="json") if card else None, "cardProblem": ""}


METHODS = {
    "ctxc_models": list_models,
    "ctxc_getModel": get_model,
    "ctxc_getStorage": get_storage,
    "ctxc_inferences": list_inferences,
}
