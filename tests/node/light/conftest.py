from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.light.network import Network


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A chain that tests only read: see `Network.settle`."""
    made = Network(tmp_path_factory.mktemp("settled"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def contract(settled: Network) -> bytes:
    return settled.settle()
