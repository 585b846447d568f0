"""The node that `benchmarks.node_kills` kills: JSON-RPC, a pool, and a long chain coming in.

It says on standard output, one line each: its ports, and the hash of each block of the chain
that it has confirmed to be in.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.blocks import find_chain
from benchmarks.node import CHAIN
from farmctl.cycles import verify_cycle
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.service import NodeService
from node.spec.crypto import private_address
from node.spec.types import Block
from node.stratum.server import StratumServer
from node.stratum.settings import StratumSettings
from node.work import WorkPackage

SECRET = b"\x51" * 32
#: Blocks of the coming chain at once, and the pause after them.
CHUNK, PAUSE_SECONDS = 8, 0.03
#: Blocks are found far faster than a clock's second; their times run ahead of it.
KILLED_CHAIN = replace(CHAIN, max_future_seconds=10**7)
#: No share leaves the window, so that all that were ever accepted can be counted.
WINDOW_BLOCKS = 10**9


async def main(home: Path, kind: str, count: int, port: int) -> None:
    loader = GraphLoader(DirectoryStorage(home / "models"))
    coinbase = private_address(SECRET)
    pools: list[StratumServer] = []

    def offer(package: WorkPackage) -> None:
        for pool in pools:
            pool.offer(package.block)

    service = NodeService(
        KILLED_CHAIN,
        home,
        loader,
        ReferenceEngine(loader),
        coinbase,
        verify_cycle,
        rpc_port=0,
        on_work=offer,
    )
    settings = StratumSettings(port=port, window_blocks=WINDOW_BLOCKS, ban_seconds=0)
    pool = StratumServer(settings, service.node, service.import_sealed, verify_cycle, SECRET)
    await service.start()
    await pool.start()
    pools.append(pool)
    print(service.rpc_port, flush=True)
    await take(service, find_chain(kind, count).read())
    await asyncio.Event().wait()


def news(service: NodeService, blocks: Iterator[Block]) -> Iterator[Block]:
    for block in blocks:
        if service.node.store.header(block.hash()) is None:
            yield block
        else:
            print(block.hash().hex(), flush=True)


async def take(service: NodeService, coming: Iterator[bytes]) -> None:
    """Import the chain from where it broke off, and say so of each block; also of those that
    were in before, since the last life may have ended before it could."""
    blocks = map(Block.decode, coming)
    while chunk := list(itertools.islice(news(service, blocks), CHUNK)):
        done = await service.import_blocks(chunk)
        if done.failure is not None:
            raise done.failure
        for block in chunk:
            print(block.hash().hex(), flush=True)
        await asyncio.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    home, kind, count, port = sys.argv[1:]
    asyncio.run(main(Path(home), kind, int(count), int(port)))
