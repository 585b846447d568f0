"""INFER in a light node's call: computed here for small models, refused for large ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from farmctl.cycles import verify_cycle
from node.core import Node
from node.inference import Answer, InferEngine, ReferenceEngine
from node.light.node import LightNode
from node.light.settings import LightSettings
from node.rpc.errors import ServerError
from tests.node.light.network import Served, ask, hexed
from tests.node.test_inference import Published
from tests.node.workshop import CHAIN, Clock


@pytest.fixture
def published(tmp_path: Path, clock: Clock) -> Iterator[Published]:
    made = Published(tmp_path / "full", clock)
    made.publish()
    yield made
    made.node.close()


@pytest.fixture
def url(published: Published) -> Iterator[str]:
    served = Served(published.node)
    yield served.url
    served.stop()


@contextmanager
def following(
    published: Published, home: Path, url: str, most_bytes: int, engine: InferEngine | None = None
) -> Iterator[LightNode]:
    loader = published.node.loader
    light = LightNode(
        CHAIN,
        home,
        LightSettings(model_bytes=most_bytes),
        [url],
        loader,
        engine or ReferenceEngine(loader),
        verify_cycle,
        published.clock,
    )
    try:
        light.follower.follow()
        yield light
    finally:
        light.close()


def call(node: Node | LightNode, published: Published) -> str:
    word = ask(node, "eth_call", {"to": hexed(published.contract)})
    assert isinstance(word, str)
    return word


def test_small_models_run_and_large_ones_are_refused(
    published: Published, tmp_path: Path, url: str
) -> None:
    expected = call(published.node, published)
    assert int(expected, 16)
    with following(published, tmp_path / "small", url, 10**6) as light:
        assert call(light, published) == expected
    with (
        following(published, tmp_path / "bounded", url, 10) as light,
        pytest.raises(ServerError, match=r"runs models up to 10; ask a full node"),
    ):
        call(light, published)


class Turning(ReferenceEngine):
    is_wrong = True

    def run(self, model: str, data: bytes) -> Answer:
        right = super().run(model, data).output
        return Answer(bytes(len(right)) if self.is_wrong else right, "rig/cpu:0")


def test_what_a_wrong_device_said_is_taken_back(
    published: Published, tmp_path: Path, url: str
) -> None:
    expected = call(published.node, published)
    engine = Turning(published.node.loader)
    with following(published, tmp_path / "light", url, 10**6, engine) as light:
        assert call(light, published) != expected
        engine.is_wrong = False
        assert call(light, published) != expected  # it is kept
        light.inference.distrust("rig/cpu:0")
        assert call(light, published) == expected
