"""Genesis blocks, built from their accounts and parameters, and our own networks' among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from node.chains import all_chains
from node.spec.chain import Chain, Genesis
from node.spec.genesis import genesis_block, genesis_header
from node.spec.trie import MemoryStore
from node.spec.types import Account, Header

CONFIG_FIELDS = {
    "chainId": "chain_id",
    "networkId": "network_id",
    "istanbul": "istanbul_block",
    "neo": "neo_block",
}


def run(data: Any) -> Iterable[Case]:
    for index, case in enumerate(data):
        yield judge(case.get("network", f"genesis {index}"), partial(_check, case))


def _check(case: dict[str, Any]) -> Iterator[str]:
    header = genesis_header(_genesis(case), MemoryStore())
    yield from _check_header(case, header)
    if "header_rlp" in case:
        given = unhex(case["header_rlp"])
        yield from differs("header", given, header.encode())
        yield from differs("header decoded", header, Header.decode(given))
    if "account_rlp_fields" in case:
        yield from differs("account", case["account_rlp_fields"], _account_fields())
    chain = all_chains().get(case.get("network", ""))
    if chain is not None:
        ours = genesis_block(chain, MemoryStore()).header
        yield from _check_header(case, ours)
        yield from _check_config(case.get("config", {}), chain)


def _account_fields() -> list[str]:
    """Names of an account's fields, in order, as the vectors spell them."""
    words = [field.name.split("_") for field in fields(Account)]
    return [first + "".join(word.title() for word in rest) for first, *rest in words]


def _genesis(case: dict[str, Any]) -> Genesis:
    return Genesis(
        nonce=unhex(case["nonce"]),
        extra=unhex(case["extra"]),
        difficulty=integer(case["difficulty"]),
        gas_limit=integer(case["gas_limit"]),
        supply=integer(case["supply"]),
        alloc={unhex(account): integer(wei) for account, wei in case["alloc"].items()},
        timestamp=integer(case.get("timestamp", 0)),
        quota=integer(case.get("quota", 0)),
    )


def _check_header(case: dict[str, Any], header: Header) -> Iterator[str]:
    yield from differs("state root", unhex(case["state_root"]), header.state_root)
    yield from differs("hash", unhex(case["hash"]), header.hash())


def _check_config(config: dict[str, Any], chain: Chain) -> Iterator[str]:
    for key, name in CONFIG_FIELDS.items():
        expected = config.get(key, config.get("all") if name.endswith("_block") else None)
        if expected is not None:
            yield from differs(key, integer(expected), getattr(chain, name))
