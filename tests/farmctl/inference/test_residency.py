"""Which models lie on a device, and how often one lay there when it was asked for."""

from __future__ import annotations

import pytest

from benchmarks.infer_cache import count_hits
from benchmarks.model_cache import sizes
from farmctl.inference.residency import Residency
from node.models.eviction import Policy
from node.spec.cvm import load
from tests.node.workshop import dense_model

GRAPH = load(*dense_model())
A, B, C = "aa" * 20, "bb" * 20, "cc" * 20


def test_the_longest_unused_makes_way() -> None:
    books = Residency(10, Policy.LRU)
    for name in (A, B):
        assert books.make_room(5) == []
        books.add(name, GRAPH, 5)
        books.use(name, 1, False)
    books.use(A, 3, True)
    assert books.make_room(5) == [B]
    books.add(C, GRAPH, 5)
    books.use(C, 2, False)  # the second found it there
    counts = books.counts()
    assert (counts.hits, counts.misses, counts.evictions, counts.used_bytes) == (4, 3, 1, 10)
    assert list(books) == [A, C] and B not in books and len(books) == 2


def test_a_model_larger_than_all_the_room_comes_alone() -> None:
    books = Residency(10, Policy.GDSF)
    books.add(A, GRAPH, 6)
    assert books.make_room(50) == [A] and books.make_room(50) == []
    books.add(B, GRAPH, 50)
    assert books.make_room(1) == [B]


def test_models_without_parameters_are_bounded_too() -> None:
    books = Residency(10, Policy.LRU, models_limit=2)
    for name in (A, B):
        assert books.make_room(0) == []
        books.add(name, GRAPH, 0)
    assert books.make_room(0) == [A]


def test_a_new_session_begins_empty() -> None:
    books = Residency(10, Policy.FIFO)
    books.add(A, GRAPH, 6)
    books.clear()
    assert len(books) == 0 and books.counts().used_bytes == 0
    assert books.make_room(10) == []


@pytest.mark.parametrize("room", [0.25, 0.5])
def test_small_models_are_worth_keeping(room: float) -> None:
    """By far the most hits on a stream with favourites, which is why it is the default."""
    models = [4 * size for size in sizes()]
    hits = {
        policy: count_hits("zipf 0.8", models, room, policy, 3000)["hit_ratio"] for policy in Policy
    }
    assert max(hits, key=hits.__getitem__) is Policy.GDSF
    assert hits[Policy.GDSF] > hits[Policy.LRU] + 0.1
