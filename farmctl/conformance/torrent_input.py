"""Input files of the network's storage: the infohash and the array they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from node.models.input_file import read_input
from node.models.torrent import describe_file


def run(data: Any) -> Iterable[Case]:
    cases = data["cases"] if isinstance(data, dict) else data
    for case in cases if isinstance(cases, list) else [cases]:
        yield judge(str(case.get("infohash", "?")), partial(_check, case))


def _check(case: dict[str, Any]) -> Iterator[str]:
    content = unhex(case["data_hex"])
    encoded = unhex(case["info_bencoded_hex"])
    infohash = unhex(case["infohash"])
    yield from differs("SHA-1 of the info", infohash, hashlib.sha1(encoded).digest())
    info = describe_file(content, case["name"], integer(case["piece_length"]))
    yield from differs("length", integer(case["length"]), len(content))
    yield from differs("info", encoded, info.encode())
    yield from differs("infohash", infohash, info.infohash)
    payload = read_input(content)
    header = case.get("npy_header")
    if header is not None:
        yield from differs(".npy header", header.encode("latin-1"), content[: -len(payload)])
