from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.core import Node
from tests.node.workshop import Clock, open_node


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def node(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    opened = open_node(tmp_path / "node", clock)
    yield opened
    opened.close()
