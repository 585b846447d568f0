"""Proofs of work: right ones with all that follows from them, wrong ones with their verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from node.spec import cuckoo

EDGE_BITS = 30


def run(data: Any) -> Iterable[Case]:
    for index, case in enumerate(data.get("positive", ())):
        yield judge(f"positive {index}", partial(_check, case))
    negative = data.get("negative", ())
    cases = negative.get("cases", ()) if isinstance(negative, dict) else negative
    for index, case in enumerate(cases):
        yield judge(f"negative {index} {case.get('name', '')}", partial(_check, case))


def _check(case: dict[str, Any]) -> Iterator[str]:
    header, edges = _header(case), case["edges"]
    verdict = cuckoo.verify(
        header, edges, case.get("edge_bits", EDGE_BITS), proof_size=case.get("proof_size", 42)
    )
    if "expect" in case or "expect_code" not in case:
        yield from differs("verdict", case.get("expect", "OK"), verdict.name)
    if "expect_code" in case:
        yield from differs("code", case["expect_code"], int(verdict))
    yield from _check_header(case, header)
    yield from _check_solution(case, edges)


def _header(case: dict[str, Any]) -> bytes:
    if "seal_hash" not in case:
        return unhex(case["header40"])
    return cuckoo.graph_header(unhex(case["seal_hash"]), _nonce(case))


def _nonce(case: dict[str, Any]) -> int:
    return integer(case["nonce"] if "nonce" in case else case["nonce_uint64"])


def _check_header(case: dict[str, Any], header: bytes) -> Iterator[str]:
    if "header40" in case:
        yield from differs("header40", unhex(case["header40"]), header)
    if "nonce_uint64" in case:
        yield from differs("nonce", integer(case["nonce_uint64"]), _nonce(case))
    if "siphash_keys" in case:
        expected = tuple(integer(key) for key in case["siphash_keys"])
        yield from differs("keys", expected, cuckoo.siphash_keys(header))


def _check_solution(case: dict[str, Any], edges: list[int]) -> Iterator[str]:
    if "solution_hash" in case:
        digest = cuckoo.solution_hash(edges)
        yield from differs("solution hash", unhex(case["solution_hash"]), digest)
    if "solution_hex_submit" in case:
        submitted = unhex(case["solution_hex_submit"])
        yield from differs("submitted form", submitted, cuckoo.solution_bytes(edges))
        yield from differs("edges submitted", tuple(edges), cuckoo.solution_edges(submitted))
    if "difficulty" in case:
        target = cuckoo.target(integer(case["difficulty"]))
        if "target" in case:
            yield from differs("target", integer(case["target"]), target)
        if "meets_target" in case:
            digest_number = int.from_bytes(cuckoo.solution_hash(edges), "big")
            yield from differs("meets target", case["meets_target"], digest_number <= target)
