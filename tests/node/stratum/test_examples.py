"""The messages of cortex-protocol §3 as miners and pools were seen to send them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from farmctl.cycles import verify_cycle
from node.chains import find_chain
from node.spec.genesis import genesis_header
from node.spec.trie import MemoryStore
from node.spec.types import Block
from node.stratum.jobs import JobBook, Template
from node.stratum.pool import Pool
from node.stratum.session import Session
from node.stratum.settings import StratumSettings

FOLDER = Path(os.environ.get("FARMCTL_VECTORS", "../shared/data/cortex"))
PATH = FOLDER / "stratum_examples.json"


class Told(Template):
    """A template of which the example tells the seal hash alone."""

    told = b""

    def seal_hash(self, extranonce: int) -> bytes:
        return self.told


@pytest.fixture
def examples() -> Any:
    if not PATH.exists():
        pytest.skip(f"1 file of examples is missing: {PATH.name}")
    return json.loads(PATH.read_text())


@pytest.fixture
def session(examples: Any) -> Session:
    """Of a mainnet pool, with the job and target of the example."""
    case = examples["pool_test_case"]
    chain = find_chain("mainnet")
    template = Told(1, Block(genesis_header(chain.genesis, MemoryStore())))
    template.told = bytes.fromhex(case["submits"][0][1][2:])
    template.height = 0x685DDC
    difficulty = 2**256 // int(case["target"], 16)
    book = JobBook(chain, verify_cycle)
    book.make_current(template)
    settings = StratumSettings(minimum_difficulty=difficulty)
    return Pool(settings, book, lambda *_: None, lambda *_: None).open_session("10.0.0.1", False)


def say(session: Session, body: Any) -> Any:
    return json.loads(session.answer(json.dumps(body).encode()))


def test_the_conversation_goes_as_seen(examples: Any, session: Session) -> None:
    """Each request of a miner is answered as a pool was seen to answer it."""
    messages = [m for m in examples["messages"] if m["dir"] in ("miner->pool", "pool->miner")]
    requests = {m["json"]["id"]: m["json"] for m in messages if "method" in m["json"]}
    replies = {
        m["json"]["id"]: m["json"]
        for m in messages
        if "method" not in m["json"] and "error" not in m["json"]
    }
    assert requests.keys() >= {72, 100, 73, 6}
    for ident, request in requests.items():
        said = say(session, request)
        assert said == replies.get(ident, {"id": ident, "jsonrpc": "2.0", "result": True})


def test_the_error_of_a_bad_address_is_as_seen(examples: Any, session: Session) -> None:
    (seen,) = [m["json"] for m in examples["messages"] if "error" in m["json"]]
    login = {"id": 72, "method": "ctxc_submitLogin", "params": ["cortex"]}
    said = say(session, login)
    assert said["error"]["code"] == seen["error"]["code"] and said["result"] is None
    assert said["error"]["message"].startswith(seen["error"]["message"])


def test_the_pools_own_case(examples: Any, session: Session) -> None:
    submits = examples["pool_test_case"]["submits"]
    say(session, {"id": 72, "method": "ctxc_submitLogin", "params": ["0x" + "a1" * 20]})
    taken = [
        say(session, {"id": 73, "method": "ctxc_submitWork", "params": params})["result"]
        for params in (*submits, submits[-1])
    ]
    assert taken == [True, True, False]
