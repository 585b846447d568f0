"""Scores by third parties: signed, bounded, one an account, and what ranks by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from node.core import Node
from node.errors import ScoreRefused
from node.models import scores
from node.models.scores import MICRO, Metric, ScoreBook, Statement, verify_score
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.methods.ranking import list_scores, rank_models, submit_score
from node.spec.crypto import private_address
from tests.node.test_inference import Published
from tests.node.workshop import CHAIN, POOR, POOR_KEY, RICH, RICH_KEY, Clock, mine, open_node

TEST_SET = bytes.fromhex("77" * 20)


@pytest.fixture
def published(tmp_path: Path, clock: Clock) -> Iterator[Published]:
    made = Published(tmp_path / "node", clock)
    made.publish()
    yield made
    made.node.close()


def request(model: bytes, key: bytes = RICH_KEY, **changes: Any) -> dict[str, Any]:
    """As a client sends it, signed by an ordinary wallet."""
    fields = {"metric": "accuracy", "value": "0.93", "issue": 0, **changes}
    stated = Statement(
        CHAIN.chain_id,
        model,
        Metric(fields["metric"]),
        int(Decimal(fields["value"]) * MICRO),
        TEST_SET,
        fields["issue"],
    )
    signed = Account.from_key(key).sign_message(encode_defunct(text=stated.text()))
    return {
        "model": "0x" + model.hex(),
        "metric": fields["metric"],
        "value": fields["value"],
        "testSet": TEST_SET.hex(),
        "issue": hex(fields["issue"]),
        "signature": "0x" + bytes(signed.signature).hex(),
    }


def test_a_wallet_s_signature_counts_and_survives_a_restart(
    published: Published, tmp_path: Path
) -> None:
    shown = submit_score(published.node, request(published.model))
    assert shown["scorer"] == "0x" + RICH.hex()
    assert "value: 0.930000" in shown["text"]
    published.node.close()
    published.node = open_node(tmp_path / "node", published.clock)
    assert list_scores(published.node, "0x" + published.model.hex()) == [shown]


def test_one_score_an_account_and_only_a_later_issue_replaces_it(published: Published) -> None:
    node, model = published.node, published.model
    submit_score(node, request(model))
    with pytest.raises(InvalidParams, match="issue must be above 0"):
        submit_score(node, request(model, value="0.5"))
    submit_score(node, request(model, value="0.5", issue=7))
    submit_score(node, request(model, metric="speed", value="120.5"))
    found = list_scores(node, "0x" + model.hex())
    assert [(s["metric"], s["value"]) for s in found] == [
        ("accuracy", "0.500000"),
        ("speed", "120.500000"),
    ]


def test_the_median_of_the_scorers_ranks(published: Published) -> None:
    node, model = published.node, published.model
    assert rank_models(node, "accuracy") == []
    submit_score(node, request(model, value="0.9"))
    submit_score(node, request(model, POOR_KEY, value="0.8"))
    (first,) = rank_models(node, "accuracy")
    assert first["address"] == "0x" + model.hex()
    assert first["ratings"]["accuracy"] == {"median": "0.850000", "scorers": 2}
    assert rank_models(node, "recall") == []


def test_calls_rank_too(published: Published) -> None:
    node = published.node
    entry = node.index.find(published.model)
    assert entry is not None
    second = published.create(replace(entry.meta, hash=b"\5" * 20, block_num=0).encode())
    mine(node, published.clock)
    order = [each["address"] for each in rank_models(node)]
    assert order == ["0x" + published.model.hex(), "0x" + second.hex()]
    for _ in range(2):
        published.send(published.contract)
        mine(node, published.clock)
    top = rank_models(node, "calls", "0x1")
    assert [(m["rank"], m["address"], m["calls"]) for m in top] == [
        (1, "0x" + published.model.hex(), "0x2")
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "0.94"}, "no account here"),  # the signature is then another's
        ({"value": "1.5"}, "accuracy lies in 0 … 1"),
        ({"value": "-1"}, "lies in"),
        ({"signature": "0x" + "00" * 65}, "of no one"),
        ({"signature": "0x" + "11" * 64 + "05"}, "27 or 28"),
        ({"issue": hex(2**40)}, "issue lies in"),
    ],
)
def test_a_score_that_proves_nothing_is_refused(
    published: Published, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidParams, match=message):
        submit_score(published.node, {**request(published.model), **change})
    assert list_scores(published.node, "0x" + published.model.hex()) == []


@pytest.mark.parametrize(
    "change", [{"value": "0.1234567"}, {"value": 0.9}, {"value": "x"}, {"metric": "beauty"}]
)
def test_a_score_of_another_form_is_refused(published: Published, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        submit_score(published.node, {**request(published.model), **change})
    with pytest.raises(InvalidParams):
        submit_score(published.node, "nothing")


def test_only_models_are_scored(published: Published) -> None:
    for address in (published.input, POOR):
        with pytest.raises(ResourceNotFound):
            submit_score(published.node, request(address))


def test_the_book_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "SCORERS_LIMIT", 3)
    book = ScoreBook(node.store, CHAIN.chain_id)
    stated = Statement(CHAIN.chain_id, RICH, Metric.RECALL, 5, TEST_SET, 0)
    keys = [bytes([n]) * 32 for n in range(1, 5)]
    for key in keys[:3]:
        book.add(verify_score(stated, stated.sign(key)), lambda _: True)
    with pytest.raises(ScoreRefused, match="no more are kept"):
        book.add(verify_score(stated, stated.sign(keys[3])), lambda _: True)
    assert len(book.of_model(RICH)) == 3
    assert verify_score(stated, stated.sign(keys[3])).scorer == private_address(keys[3])
    other = replace(stated, chain_id=1)
    with pytest.raises(ScoreRefused, match="this is chain"):
        book.add(verify_score(other, other.sign(keys[0])), lambda _: True)
