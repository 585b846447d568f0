"""The code of meta contracts: decoded field by field and encoded again.

Inputs of six fields are a form of 2019 that the network's code no longer decodes: their list is
compared, and our decoder must refuse them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, judge, unhex
from node.spec import rlp
from node.spec.meta import InputMeta, ModelMeta, is_input, is_model

FIELDS = {"model": 8, "input": 5}
DECODERS: dict[str, Callable[[bytes], ModelMeta | InputMeta]] = {
    "model": ModelMeta.decode,
    "input": InputMeta.decode,
}
NUMBERS = ("raw_size", "gas", "block_num")
HASHES = ("hash", "author")
SHAPES = ("input_shape", "output_shape", "shape")


def run(data: Any) -> Iterable[Case]:
    for index, case in enumerate(data):
        yield judge(f"{case.get('kind', '')} {index}", partial(_check, case))


def _check(case: dict[str, Any]) -> Iterator[str]:
    code, kind = unhex(case["code_hex"]), case["kind"]
    yield from differs("kind", kind, "model" if is_model(code) else "input")
    items, end = rlp.decode_prefix(code[2:])
    exact = code[: 2 + end]
    yield from differs("trailing bytes", case.get("trailing", 0), len(code) - len(exact))
    fields = rlp.decode_list(items)
    yield from differs("number of fields", case.get("nfields", len(fields)), len(fields))
    if "raw" in case:
        yield from differs("list", case["raw"], repr(fields))
    again = code[:2] + rlp.encode(fields) == exact
    yield from differs("encoded again", case.get("reencode_ok", True), again)
    if exact != code:
        yield from _refused(kind, code, "bytes that trail")
    if len(fields) == FIELDS[kind]:
        yield from _check_fields(case, DECODERS[kind](exact), exact)
    else:
        yield from _refused(kind, code, f"{len(fields)} fields")


def _refused(kind: str, code: bytes, why: str) -> Iterator[str]:
    try:
        DECODERS[kind](code)
    except rlp.RlpError:
        return
    yield f"should be refused for {why}"


def _check_fields(case: dict[str, Any], meta: ModelMeta | InputMeta, code: bytes) -> Iterator[str]:
    yield from differs("encoding", code, meta.encode())
    yield from differs("prefix", True, is_model(code) or is_input(code))
    if "comment" in case:
        yield from differs("comment", case["comment"].encode(), meta.comment)
    for names, convert in ((NUMBERS, int), (HASHES, unhex), (SHAPES, tuple)):
        for name in names:
            if name in case:
                expected = convert(case[name])
                yield from differs(name, expected, getattr(meta, name))
