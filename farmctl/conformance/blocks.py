"""Whole blocks: decoded, encoded again, rebuilt from the JSON of a node, hashed, verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from node.chains import all_chains
from node.spec import rlp
from node.spec.seal import is_sealed
from node.spec.transition import transactions_root
from node.spec.types import Block, Header, uncles_hash

#: Names of header fields in a node's JSON, in order of encoding.
RPC_FIELDS = (
    ("parentHash", 32),
    ("sha3Uncles", 32),
    ("miner", 20),
    ("stateRoot", 32),
    ("transactionsRoot", 32),
    ("receiptsRoot", 32),
    ("logsBloom", 256),
    ("difficulty", None),
    ("number", None),
    ("gasLimit", None),
    ("gasUsed", None),
    ("timestamp", None),
    ("extraData", 0),
    ("mixHash", 32),
    ("nonce", 8),
    ("solution", None),
    ("quota", None),
    ("quotaUsed", None),
    ("supply", None),
)


def run(data: Any) -> Iterable[Case]:
    for index, case in enumerate(data):
        yield judge(f"block {index} ({case.get('network', '')})", partial(_check, case))


def _check(case: dict[str, Any]) -> Iterator[str]:
    if "block_rlp" in case:
        block = Block.decode(unhex(case["block_rlp"]))
        yield from differs("block encoded again", unhex(case["block_rlp"]), block.encode())
        header = block.header
        yield from _check_body(case, block)
    else:
        header = Header.decode(unhex(case["header_rlp"]))
    yield from _check_header(case, header)
    if "rpc_block" in case:
        yield from _check_json(case["rpc_block"], header)
    chain = all_chains().get(case.get("network", ""))
    if chain is not None and header.number > 0:
        yield from differs("seal", True, is_sealed(chain, header))


def _check_header(case: dict[str, Any], header: Header) -> Iterator[str]:
    if "header_rlp" in case:
        yield from differs("header", unhex(case["header_rlp"]), header.encode())
    if "seal_rlp" in case:
        yield from differs("sealed part", unhex(case["seal_rlp"]), header.seal_encode())
    for key, actual in (
        ("seal_hash", header.seal_hash()),
        ("seal_hash_computed", header.seal_hash()),
        ("block_hash", header.hash()),
        ("expected_block_hash", header.hash()),
    ):
        if case.get(key):
            yield from differs(key, unhex(case[key]), actual)
    if "header_fields" in case:
        fields = rlp.decode_list(rlp.decode(header.encode()))
        yield from differs("number of fields", case["header_fields"], len(fields))


def _check_body(case: dict[str, Any], block: Block) -> Iterator[str]:
    if case.get("tx_hash"):
        hashes = [transaction.hash().hex() for transaction in block.transactions]
        yield from differs("transactions", [unhex(case["tx_hash"]).hex()], hashes)
    if case.get("rpc_block"):
        size = integer(case["rpc_block"].get("size", len(block.encode())))
        yield from differs("size", size, len(block.encode()))
        uncles = uncles_hash(block.uncles)
        yield from differs("hash of uncles", block.header.uncles_hash, uncles)
        root = transactions_root(block.transactions)
        yield from differs("root of transactions", block.header.transactions_root, root)


def _check_json(block: dict[str, Any], header: Header) -> Iterator[str]:
    rebuilt = rlp.encode([_item(block[name], size) for name, size in RPC_FIELDS])
    yield from differs("header rebuilt from JSON", header.encode(), rebuilt)
    if "hash" in block:
        yield from differs("hash in JSON", unhex(block["hash"]), header.hash())


def _item(value: Any, size: int | None) -> rlp.Item:
    if isinstance(value, list):
        return [rlp.encode_int(integer(edge)) for edge in value]
    if size is None:
        return rlp.encode_int(integer(value))
    item = unhex(value)
    return rlp.decode_bytes(item, size or None)
