"""Whatever is said, a session answers with one line of JSON; a pool outlives nonsense."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import stratum_fuzz
from node.chains.farmnet import FARMNET
from node.spec.genesis import genesis_header
from node.spec.seal import is_cycle
from node.spec.trie import MemoryStore
from node.spec.types import Block
from node.stratum.jobs import JobBook
from node.stratum.pool import Pool
from node.stratum.settings import StratumSettings

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
METHODS = st.sampled_from(["ctxc_submitLogin", "eth_submitWork", "ctxc_getWork"]) | st.text()
REQUESTS = st.fixed_dictionaries(
    {"id": VALUES, "method": METHODS, "params": st.lists(VALUES, max_size=9)},
    optional={"worker": VALUES},
)


@cache
def pool() -> Pool:
    book = JobBook(FARMNET, is_cycle)
    book.add(Block(genesis_header(FARMNET.genesis, MemoryStore())))
    return Pool(StratumSettings(), book, lambda *_: None, lambda *_: None)


def check(line: bytes) -> None:
    for account in (b"", b"\x01" * 20):
        miner = pool().open_session("10.0.0.1", False)
        miner.account = account
        answer = miner.answer(line)
        assert answer.endswith(b"\n") and answer.count(b"\n") == 1
        assert json.loads(answer).keys() >= {"id", "result", "jsonrpc"}


@settings(max_examples=100, deadline=None)
@given(REQUESTS)
def test_a_request_of_any_values_is_answered(body: object) -> None:
    check(json.dumps(body).encode())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=4096))
def test_bytes_are_answered(line: bytes) -> None:
    check(line)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_a_mutated_line_is_answered(seed: int) -> None:
    check(stratum_fuzz.line(random.Random(seed)))


async def test_the_pool_outlives_nonsense(tmp_path: Path) -> None:
    found = await stratum_fuzz.attack(tmp_path, 1.0, seed=1)
    assert found["conversations"] and found["bad_lines"] and found["memory_grown_megabytes"] < 50
