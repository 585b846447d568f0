from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.node.rpc.running import Running, run_service


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run_service(tmp_path) as service:
        yield service
