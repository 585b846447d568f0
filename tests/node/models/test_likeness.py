"""Likeness of models: copies in every disguise are found, models made apart are not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.likeness import copies
from benchmarks.likeness.copies import Network
from node.core import Node
from node.models.fingerprint import fingerprint
from node.models.likeness import Kind, Likeness, compare
from node.models.metadata import describe_model
from node.rpc.errors import InvalidParams, ServerError
from node.rpc.methods.likeness import compare_models, report_likeness
from node.spec.cvm import Graph, load
from node.spec.cvm.writer import ModelWriter
from tests.node.workshop import AUTHOR, Clock, mine, open_node, sign

Files = tuple[bytes, bytes]


@cache
def network(seed: int = 0) -> Network:
    return copies.train(seed, epochs=4)


def random_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    shapes = ((8, 1, 3, 3), (16, 8, 3, 3), (10, 256))
    return Network(*(rng.standard_normal(shape).astype(np.float32) for shape in shapes))


def likeness(later: Graph) -> Likeness:
    return compare(fingerprint(copies.graph(network())), fingerprint(later))


def test_names_and_order_do_not_change_the_fingerprint() -> None:
    plain, other = copies.graph(network()), copies.graph(network(), "x_", swap=True)
    assert list(plain.variables) != list(other.variables)
    left, right = fingerprint(plain), fingerprint(other)
    assert left.structure == right.structure
    assert left.weights_hash == right.weights_hash
    assert left.architecture == right.architecture
    found = compare(left, right)
    assert (found.kind, found.identical_tensors, found.covered) == (Kind.RENAMED, 3, 1.0)


def small(swapped: bool = False, bits: int = 4, dead: bool = False) -> Graph:
    """A sum of two layers; with its operands the other way round; with a node nobody uses."""
    writer = ModelWriter()
    data = writer.add_input((1, 6), 8)
    weights = np.arange(36).reshape(6, 6) % 7 - 3
    fc = writer.add(
        "dense", "fc", [data, writer.add_parameter("w", weights, 4)], units=6, use_bias=False
    )
    shifted = writer.add("cvm_right_shift", "s", [fc], precision=8, shift_bit=bits)
    if dead:
        writer.add("abs", "unused", [shifted])
    pair = [data, shifted] if swapped else [shifted, data]
    return load(*writer.finish([writer.add("elemwise_add", "sum", pair)]))


def test_operands_of_a_sum_and_dead_nodes_do_not_count_and_attributes_do() -> None:
    plain = fingerprint(small())
    for same in (small(swapped=True), small(dead=True)):
        assert fingerprint(same).structure == plain.structure
    shifted = fingerprint(small(bits=5))
    assert shifted.structure != plain.structure
    assert shifted.architecture == plain.architecture  # a shift only fits a precision


def test_models_trained_apart_are_not_taken_for_copies() -> None:
    made = [fingerprint(copies.graph(network(seed))) for seed in range(4)]
    for left, right in itertools.combinations(made, 2):
        found = compare(left, right)
        assert (found.kind, found.same_architecture) == (Kind.APART, True)
        assert found.cosine < 0.4


DISGUISES: dict[str, tuple[Callable[[Network], Graph], set[Kind]]] = {
    "permuted": (lambda n: copies.graph(copies.permute(n)), {Kind.PERMUTED}),
    "scaled": (lambda n: copies.graph(copies.rescale(n)), {Kind.SCALED}),
    "both": (lambda n: copies.graph(copies.rescale(copies.permute(n))), {Kind.SCALED, Kind.NEAR}),
    "rounded": (lambda n: copies.graph(n, bits=6), {Kind.SCALED}),
    "noise": (lambda n: copies.graph(copies.add_noise(n, 0.3)), {Kind.NEAR}),
    "trained on": (lambda n: copies.graph(copies.train(5, 3, n)), {Kind.SCALED, Kind.NEAR}),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_copy_is_found_in_each_disguise(disguise: str) -> None:
    copy, kinds = DISGUISES[disguise]
    found = likeness(copy(network()))
    assert found.is_copy and found.kind in kinds
    assert found.cosine > 0.9 and found.covered == 1.0


def test_a_copy_with_a_new_head_is_found_by_what_it_shares() -> None:
    """The last layer is another's: 38 % of the weights still are the copy's."""
    own, other = network(), network(1)
    grafted = Network(own.first, own.second, other.last)
    found = likeness(copies.graph(grafted))
    assert found.identical_tensors == 2
    assert 0.2 < found.cosine < 0.7


def write(seed: int, prefix: str = "", changed: bool = False) -> Files:
    made = random_network(seed)
    return copies.write_files(copies.permute(made) if changed else made, prefix)


@pytest.fixture
def publisher(tmp_path: Path, clock: Clock) -> Iterator[Publisher]:
    made = Publisher(tmp_path, clock)
    yield made
    made.node.close()


class Publisher:
    """Creates models on a chain, whose files come when they are given."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self.home, self.clock, self.nonce = home, clock, 0
        self.node: Node = open_node(home, clock)

    def publish(self, files: Files, stored: bool = True) -> str:
        meta = describe_model(*files, author=AUTHOR)
        self.node.send(sign(self.nonce, None, data=meta.encode(), gas=400_000))
        self.nonce += 1
        block = mine(self.node, self.clock)
        if stored:
            self.store(files)
        receipt = self.node.store.receipts(block.hash())[0]
        assert receipt.succeeded
        newest = max(self.node.index.models(), key=lambda each: each[1].block_num)
        return "0x" + newest[0].address.hex()

    def store(self, files: Files) -> None:
        self.node.loader.storage.put_model(*files)

    def work(self) -> None:
        while self.node.likeness.advance():
            pass


def test_a_copy_is_reported_with_the_earlier_model(publisher: Publisher) -> None:
    first = publisher.publish(write(1))
    second = publisher.publish(write(2))
    copy = publisher.publish(write(1, "x_", changed=True))
    assert "not compared yet" in report_likeness(publisher.node, copy)["pending"]
    publisher.work()
    for honest in (first, second):
        assert report_likeness(publisher.node, honest) == {"likenesses": [], "pending": ""}
    (found,) = report_likeness(publisher.node, copy)["likenesses"]
    assert found["earlier"]["address"] == first
    assert (found["kind"], found["isCopy"]) == (str(Kind.PERMUTED), True)
    shown = compare_models(publisher.node, first, copy)
    assert shown == {key: found[key] for key in shown}

    publisher.node.close()  # what was found is kept
    publisher.node = open_node(publisher.home, publisher.clock)
    assert not publisher.node.likeness.advance()
    assert report_likeness(publisher.node, copy)["likenesses"] == [found]


def test_the_earlier_model_is_named_though_its_files_come_later(publisher: Publisher) -> None:
    first = publisher.publish(write(1), stored=False)
    copy = publisher.publish(write(1, "x_"))
    publisher.work()
    publisher.store(write(1))
    publisher.work()
    assert report_likeness(publisher.node, first)["likenesses"] == []
    (found,) = report_likeness(publisher.node, copy)["likenesses"]
    assert (found["earlier"]["address"], found["kind"]) == (first, str(Kind.RENAMED))


def test_the_same_files_at_another_address_are_reported(publisher: Publisher) -> None:
    first, again = publisher.publish(write(1)), publisher.publish(write(1))
    publisher.work()
    assert report_likeness(publisher.node, first)["likenesses"] == []
    (found,) = report_likeness(publisher.node, again)["likenesses"]
    assert (found["earlier"]["address"], found["kind"]) == (first, str(Kind.SAME_FILES))


def test_what_cannot_be_compared_says_so(publisher: Publisher) -> None:
    first = publisher.publish(write(1), stored=False)
    second = publisher.publish(write(2))
    with pytest.raises(ServerError, match="not stored"):
        compare_models(publisher.node, first, second)
    with pytest.raises(InvalidParams):
        compare_models(publisher.node, first, "nothing")
    publisher.node.likeness.close()
    assert not publisher.node.likeness.advance()
