"""INFER in a light node's call: computed here for small models, refused for large ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farmctl.cycles import verify_cycle
from node.inference import ReferenceEngine
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


def answer(published: Published, home: Path, url: str, most_bytes: int) -> str:
    loader = published.node.loader
    light = LightNode(
        CHAIN,
        home,
        LightSettings(model_bytes=most_bytes),
        [url],
        loader,
        ReferenceEngine(loader),
        verify_cycle,
        published.clock,
    )
    try:
        light.follower.follow()
        word = ask(light, "eth_call", {"to": hexed(published.contract)})
    finally:
        light.close()
    assert isinstance(word, str)
    return word


def test_small_models_run_and_large_ones_are_refused(published: Published, tmp_path: Path) -> None:
    served = Served(published.node)
    try:
        expected = ask(published.node, "eth_call", {"to": hexed(published.contract)})
        assert int(expected, 16)
        assert answer(published, tmp_path / "small", served.url, 10**6) == expected
        with pytest.raises(ServerError, match=r"runs models up to 10; ask a full node"):
            answer(published, tmp_path / "bounded", served.url, 10)
    finally:
        served.stop()
