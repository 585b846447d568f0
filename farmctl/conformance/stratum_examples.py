"""Mining messages: each job is a job, each solution is judged as a pool would.

The messages are read with the node's own forms, and the pool's example runs through its work
desk. Lines whose parameters are placeholders, and replies without work, hold nothing to judge
but that the node knows the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, judge
from node.chains import find_chain
from node.errors import SubmissionRefused
from node.rpc.forms import parse_bytes, parse_hash, parse_quantity
from node.rpc.registry import find_methods
from node.spec import cuckoo
from node.spec.genesis import genesis_header
from node.spec.seal import is_cycle
from node.spec.trie import MemoryStore
from node.spec.types import Block, Header
from node.work import Hashrates, WorkDesk

SUBMIT = ("ctxc_submitWork", "eth_submitWork")
WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class PoolJob(Header):
    """The header of a job, of which a pool's example tells the seal hash alone."""

    told: bytes = b""

    def seal_hash(self) -> bytes:
        return self.told


def run(data: Any) -> Iterable[Case]:
    target = 0
    for index, message in enumerate(data.get("messages", ())):
        body, name = message["json"], f"message {index} ({message.get('dir', '')})"
        if _is_work(body.get("result")):
            target = _number(body["result"][2])
            yield judge(name, partial(_check_work, body["result"]))
        elif "method" in body and "<" not in str(body["params"]):
            yield judge(name, partial(_check_request, body, target))
    if "pool_test_case" in data:
        yield from _run_pool(data["pool_test_case"])


def _is_work(result: Any) -> bool:
    return isinstance(result, list) and len(result) in (3, 4)


def _number(word: str) -> int:
    return int.from_bytes(parse_hash(word, "target"), "big")


def _check_work(work: list[str]) -> Iterator[str]:
    parse_hash(work[0], "seal hash")
    yield from differs("seed", bytes(32), parse_hash(work[1], "seed"))
    target = _number(work[2])
    yield from differs("target is one", True, target > 0)
    if len(work) == 4:
        yield from differs("height", int(work[3], 16), parse_quantity(work[3], "height"))


def _check_request(body: dict[str, Any], target: int) -> Iterator[str]:
    if body["method"] == "ctxc_submitLogin":
        yield from differs("address", 20, len(parse_bytes(body["params"][0], 20, "address")))
        return
    yield from differs("method is known", True, body["method"] in find_methods())
    if body["method"] in SUBMIT:
        nonce, seal_hash, edges = _submission(body["params"])
        graph = cuckoo.graph_header(seal_hash, nonce)
        yield from differs("verdict", "OK", cuckoo.verify(graph, edges).name)
        digest = int.from_bytes(cuckoo.solution_hash(edges), "big")
        yield from differs("meets the job's target", True, digest <= target)
    elif body["params"] and "ashrate" in body["method"].lower():
        yield from differs("accepted", True, _report_rate(body["params"]))


def _submission(params: list[str]) -> tuple[int, bytes, tuple[int, ...]]:
    edges = cuckoo.solution_edges(parse_bytes(params[2], 4 * 42, "solution"))
    nonce = int.from_bytes(parse_bytes(params[0], 8, "nonce"), "big")
    return nonce, parse_hash(params[1], "seal hash"), edges


def _report_rate(params: list[str]) -> bool:
    rate = parse_quantity(params[0], "rate")
    rates = Hashrates()
    return rates.report(parse_hash(params[1], "id"), rate) and rates.total() == rate


def _run_pool(case: dict[str, Any]) -> Iterator[Case]:
    """Each submission in turn, then the last of them once more."""
    submits = list(case["submits"])
    words = str(case.get("expected", "")).replace(",", " ").split()
    told = [WORDS[word] for word in words if word in WORDS]
    expected = [*told[: len(submits) + 1]] or [*(True for _ in submits), False]
    desk = _desk(case)
    repeated = [*submits, submits[-1]]
    for index, (params, verdict) in enumerate(zip(repeated, expected, strict=True)):
        yield judge(f"submission {index}", partial(_check_submission, desk, params, verdict))


def _desk(case: dict[str, Any]) -> WorkDesk:
    """A desk that has offered a job for each seal hash of the case, at the case's target."""
    chain = find_chain("mainnet")
    blank = genesis_header(chain.genesis, MemoryStore())
    values = {field.name: getattr(blank, field.name) for field in fields(blank)}
    values["difficulty"] = (1 << 256) // _number(case["target"])
    desk = WorkDesk(chain, is_cycle)
    for told in {params[1] for params in case["submits"]}:
        desk.offer(Block(PoolJob(**values, told=parse_hash(told, "seal hash"))))
    return desk


def _check_submission(desk: WorkDesk, params: list[str], expected: bool) -> Iterator[str]:
    nonce, seal_hash, edges = _submission(params)
    try:
        desk.seal(seal_hash, nonce, edges)
    except SubmissionRefused as refused:
        if expected:
            yield f"should be taken, but {refused}"
    else:
        yield from differs("taken", expected, True)
