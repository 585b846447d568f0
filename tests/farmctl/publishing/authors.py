"""A node with a miner that always mines, and an author with coins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from farmctl.cycles import verify_cycle
from farmctl.publishing.author import Author
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.service import NodeService
from tests.node.rpc.running import Running
from tests.node.workshop import CHAIN, MINER, RICH_KEY

#: Of which half an upload step finds room in each block.
SLOW_CHAIN = replace(
    CHAIN,
    quota_per_block=512 * 1024,
    seeding_blocks=2,
    # A block a second leaves the difficulty as it is, and the chain's time may run ahead.
    difficulty_divisor_seconds=1,
    max_future_seconds=10**6,
)


class Authoring:
    def __init__(self, running: Running) -> None:
        self.running = running
        self.service = running.service
        self.author = Author(running.url, RICH_KEY, 0.02)

    async def walk(self, work: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(work)


@asynccontextmanager
async def authoring(home: Path) -> AsyncIterator[Authoring]:
    loader = GraphLoader(DirectoryStorage(home / "models"))
    service = NodeService(
        SLOW_CHAIN, home, loader, ReferenceEngine(loader), MINER, verify_cycle, rpc_port=0
    )
    await service.start()
    running = Running(service)

    async def mine() -> None:
        while True:
            await running.mine()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(mine())
    made = Authoring(running)
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        made.author.close()
        await service.stop()
