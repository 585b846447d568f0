"""Whatever is said to the relay, a session answers with one line of JSON."""

from __future__ import annotations

import json
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from node.chains.grin import GRIN
from node.stratum.relay.server import Relay
from node.stratum.settings import StratumSettings

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
METHODS = ["login", "submit", "getjobtemplate", "keepalive", "status"]
SHARE = st.fixed_dictionaries(
    {},
    optional={
        "height": VALUES | st.just(7),
        "job_id": VALUES | st.just(1),
        "nonce": VALUES | st.integers(0, 2**64 - 1),
        "edge_bits": VALUES | st.just(32),
        "pow": VALUES | st.lists(st.integers(0, 2**32 - 1), min_size=42, max_size=42),
        "login": VALUES | st.just("alice"),
    },
)
REQUESTS = st.fixed_dictionaries(
    {"id": VALUES, "method": st.sampled_from(METHODS) | st.text(), "params": SHARE | VALUES},
)


async def refuse(login: str, share: object) -> str:
    raise AssertionError("nothing here is a proof")


@cache
def relay() -> Relay:
    made = Relay(StratumSettings(), lambda *_: False, refuse, lambda: 0.0)
    made.book.add(GRIN, bytes(250), 2**255, 7)
    return made


def check(line: bytes) -> None:
    for login in ("", "bob"):
        miner = relay().open_session("10.0.0.1", False)
        miner.login = login
        answer = miner.answer(line)
        assert answer.endswith(b"\n") and answer.count(b"\n") == 1
        said = json.loads(answer)
        assert said.keys() == {"id", "jsonrpc", "method", "result", "error"}
        assert (said["result"] is None) == (said["error"] is not None)


@settings(max_examples=200, deadline=None)
@given(REQUESTS)
def test_a_request_of_any_values_is_answered(body: object) -> None:
    check(json.dumps(body).encode())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=4096))
def test_bytes_are_answered(line: bytes) -> None:
    check(line)
