"""Siphash of single numbers, and the words of edges with their endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from node.spec import cuckoo

EDGE_BITS = 30


def run(data: Any) -> Iterable[Case]:
    for index, case in enumerate(data["cases"]):
        yield judge(f"case {index}", partial(_check, case))


def _check(case: dict[str, Any]) -> Iterator[str]:
    keys = tuple(integer(key) for key in case["keys"])
    if "header40" in case:
        yield from differs("keys", keys, cuckoo.siphash_keys(unhex(case["header40"])))
    for entry in case.get("siphash48", ()):
        number = integer(entry["input"])
        actual = cuckoo.siphash(keys, number)
        yield from differs(f"siphash of {number}", integer(entry["value"]), actual)
    if case.get("sipblock"):
        yield from _check_edges(case, keys)


def _check_edges(case: dict[str, Any], keys: tuple[int, ...]) -> Iterator[str]:
    entries = case["sipblock"]
    words = cuckoo.edge_words(keys, [integer(entry["edge"]) for entry in entries])
    us, vs = cuckoo.endpoints(words, case.get("edge_bits", EDGE_BITS))
    for entry, word, u, v in zip(entries, words.tolist(), us, vs, strict=True):
        name = f"edge {entry['edge']}"
        yield from differs(f"word of {name}", integer(entry["value"]), word)
        yield from differs(f"u of {name}", integer(entry.get("u", u)), u)
        yield from differs(f"v of {name}", integer(entry.get("v", v)), v)
