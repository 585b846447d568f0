from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.cpu import layers
from tests.support.isas import ISAS, skip_without


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """The instruction set that layers are packed for meanwhile."""
    skip_without(request.param)
    before = layers.isa()
    layers.use_isa(request.param)
    yield request.param
    layers.use_isa(before)
