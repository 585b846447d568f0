"""The rig's bench serves here."""

from collections.abc import AsyncIterator

import pytest

from farmctl.memory_bus import MemoryBus
from farmctl.messages import ModelRequest
from farmctl.workloads.base import Place
from farmctl.workloads.infer import Infer
from tests.farmctl.rig_bench import bus, link, place, shelf, told
from tests.farmctl.workloads.infer_bench import ModelServer, serving

__all__ = ["bus", "link", "place", "shelf", "told"]


@pytest.fixture
async def models(bus: MemoryBus) -> ModelServer:
    server = ModelServer()
    await bus.serve("node.model", ModelRequest, server.give)
    return server


@pytest.fixture
async def worker(place: Place, bus: MemoryBus, models: ModelServer) -> AsyncIterator[Infer]:
    async with serving(place, bus) as made:
        yield made
