"""Publishing: what it costs, and what authors say of their models afterwards."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.models.notices import Standing, summarise
from node.models.quote import quote
from node.rpc.errors import InvalidParams
from node.rpc.forms import hexbytes, parse_bytes, quantity
from node.rpc.views import Json
from node.spec.gas import UPLOAD_GAS
from node.spec.meta import ModelMeta, decode_meta
from node.spec.rlp import RlpError


def quote_publication(node: Node, code: Any) -> Json:
    """Gas, price and time of publishing metadata (0001 or 0002, then the RLP) at the head, by
    the gas price that blocks ask now."""
    try:
        meta = decode_meta(parse_bytes(code, name="code"))
    except RlpError as error:
        raise InvalidParams(f"code: {error}") from error
    head = node.head()
    found = quote(node.chain, head, meta, node.gas_price.suggest())
    return {
        "rawSize": quantity(meta.raw_size),
        "creationGas": quantity(found.creation_gas),
        "uploads": quantity(found.uploads),
        "uploadGas": quantity(UPLOAD_GAS),
        "gas": quantity(found.gas),
        "gasPrice": quantity(found.gas_price_wei),
        "price": quantity(found.price_wei),
        "blocks": quantity(found.blocks),
        "quotaFree": quantity(max(0, head.quota - head.quota_used)),
    }


def find_standing(node: Node, address: bytes, meta: ModelMeta) -> Standing:
    """What a model's author has said of it on the chain."""
    return summarise(node.store.notices(address, meta.author))


def show_standing(node: Node, address: bytes, standing: Standing) -> Json:
    """Addresses are empty where there is none. ``replaces`` is told only where that model's
    author names this one as its successor."""
    return {
        "withdrawn": standing.is_withdrawn,
        "successor": _show(standing.successor),
        "replaces": _show(standing.predecessor) if _agrees(node, address, standing) else "",
        "cid": standing.cid,
        "testSets": [
            {"inputs": each.inputs.hex(), "labels": each.labels.hex(), "comment": each.comment}
            for each in standing.test_sets
        ],
    }


def _agrees(node: Node, address: bytes, standing: Standing) -> bool:
    entry = node.index.find(standing.predecessor)
    if entry is None or not isinstance(entry.meta, ModelMeta):
        return False
    return find_standing(node, entry.address, entry.meta).successor == address


def _show(address: bytes) -> str:
    return hexbytes(address) if address else ""


METHODS = {"ctxc_quotePublication": quote_publication}
