"""Cards of models: what is attached is shown; what is wrong or another model's is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.models.card import (
    CARD_BYTES_LIMIT,
    ModelCard,
    attach_card,
    describe_graph,
    find_card,
    find_reference,
    find_title,
    read_card,
)
from node.models.errors import MalformedModel, ModelNotFound
from node.models.metadata import describe_model
from node.models.storage.directory import DirectoryStorage
from node.rpc.methods.models import get_model
from node.spec.cvm import load
from node.spec.meta import ModelMeta
from tests.node.test_inference import Published
from tests.node.workshop import AUTHOR, Clock, dense_model, mine


def bare() -> ModelMeta:
    return describe_model(*dense_model(), author=AUTHOR)


def card(**changes: Any) -> ModelCard:
    words = {
        "field": "arithmetic",
        "method": "one dense layer",
        "loss": "none, chosen by hand",
        "dataset": "none",
        "prediction": "three sums",
        **changes,
    }
    return describe_graph(load(*dense_model()), bare().hash, **words)


def with_comment(comment: str) -> ModelMeta:
    return replace(bare(), comment=comment.encode())


def test_shapes_type_and_range_come_from_the_graph() -> None:
    made = card()
    assert (made.input.shape, made.input.rank, made.input.size) == ((6,), 1, 6)
    assert (made.output.shape, made.output.dtype) == ((3,), "int32")
    assert made.output.range[0] == -made.output.range[1] < 0
    assert read_card(made.encode()) == made


def test_a_short_card_stands_in_the_comment(tmp_path: Path) -> None:
    comment, content = attach_card("Sums of six", card())
    assert content is None
    meta = with_comment(comment)
    assert find_title(meta) == "Sums of six"
    assert find_card(meta, DirectoryStorage(tmp_path)) == card()


def test_a_long_card_lies_in_the_storage_under_its_hash(tmp_path: Path) -> None:
    words = {name: "x" * 120 for name in ("field", "method", "loss", "dataset", "prediction")}
    long = card(**words)
    comment, content = attach_card("Sums of six", long)
    assert content is not None and len(comment) < 70
    meta, storage = with_comment(comment), DirectoryStorage(tmp_path)
    with pytest.raises(ModelNotFound, match="not stored here yet"):
        find_card(meta, storage)
    assert storage.put_input(content) == find_reference(meta.comment)
    assert find_card(meta, storage) == long


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "ab" * 20}, "digest"),
        ({"input": {"rank": 2, "size": 6, "dataset": "x", "shape": [2, 3]}}, "input shape"),
        ({"input": {"rank": 3, "size": 6, "dataset": "x", "shape": [6]}}, "rank 3"),
        ({"colour": "green"}, "colour"),
        ({"training": "perhaps"}, "training"),
        ({"field": "two\nlines"}, "field"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    content = json.dumps({**card().model_dump(mode="json"), **change})
    with pytest.raises(MalformedModel, match=message):
        find_card(with_comment(f"title\n{content}"), DirectoryStorage(tmp_path))


def test_any_text_remains_a_comment(tmp_path: Path) -> None:
    for comment in ("", "plain words", "two\nlines of words", "title\ncard:nothing"):
        assert find_card(with_comment(comment), DirectoryStorage(tmp_path)) is None
    with pytest.raises(MalformedModel, match="bytes"):
        read_card(b"{" + b" " * CARD_BYTES_LIMIT + b"}")


def test_the_card_is_shown_with_its_model(tmp_path: Path, clock: Clock) -> None:
    made = Published(tmp_path, clock)
    comment, _ = attach_card("Sums of six", card())
    address = made.create(with_comment(comment).encode(), 2_000_000)
    broken = made.create(with_comment('wrong\n{"digest": 1}').encode(), 2_000_000)
    mine(made.node, clock)
    shown = get_model(made.node, "0x" + address.hex())
    assert (shown["comment"], shown["cardProblem"]) == ("Sums of six", "")
    assert shown["card"]["output"]["prediction"] == "three sums"
    shown = get_model(made.node, "0x" + broken.hex())
    assert shown["card"] is None and "digest" in shown["cardProblem"]
    made.node.close()
