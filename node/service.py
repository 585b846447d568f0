"""The node at work: JSON-RPC, block templates, blocks whose time comes. One event loop; blocks are
executed in a process of their own, and whatever else computes or writes runs in threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from node.core import Node, NodeState
from node.importing import Imported
from node.inference import InferEngine
from node.models.loading import GraphLoader
from node.rpc.server import RpcServer
from node.rpc.settings import RpcSettings
from node.spec.chain import Chain
from node.spec.seal import CycleVerifier, is_cycle
from node.spec.types import Block
from node.spec.vm import fast
from node.spec.vm.frame import Interpret
from node.work import WorkPackage

RECOMMIT_SECONDS = 3.0
#: New transactions wake the builder at most this often.
REBUILD_SECONDS = 0.5
#: How often a new head is looked for meanwhile.
HEAD_LOOKS = 20
RETRY_SECONDS = 1.0
#: How often old states are looked for; a slice of their dropping rests so many times its length.
PRUNE_SECONDS = 10.0
PRUNE_REST = 4.0
#: Running ahead rests so many times as long as it took.
PRERUN_REST = 1.0
#: How often new models are looked for, to be compared with those before them.
COMPARE_SECONDS = 5.0

T = TypeVar("T")
log = logging.getLogger(__name__)


class NodeService:
    """Runs a `Node`. ``on_work`` is called on the event loop with each new work package."""

    def __init__(
        self,
        chain: Chain,
        home: Path,
        loader: GraphLoader,
        engine: InferEngine,
        coinbase: bytes,
        verify_cycle: CycleVerifier = is_cycle,
        rpc_host: str = "127.0.0.1",
        rpc_port: int = 8545,
        on_work: Callable[[WorkPackage], None] = lambda package: None,
        interpret: Interpret = fast.interpret,
        rpc: RpcSettings | None = None,
        apart: bool = True,
        keep_states: int = 0,
        prerun: bool = True,
    ) -> None:
        self.node = Node(
            chain,
            home,
            loader,
            engine,
            coinbase,
            verify_cycle,
            interpret=interpret,
            rpc=rpc,
            apart=apart,
            keep_states=keep_states,
        )
        self._rpc = RpcServer(self.node, rpc_host, rpc_port)
        self._on_work = on_work
        self._changed = asyncio.Event()
        self._prerun = prerun
        self._unexplored = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        # A solution and the building of a block must not wait for blocks of others.
        self._sealed = ThreadPoolExecutor(1, "sealed")
        self._foreign = ThreadPoolExecutor(2, "foreign")
        self._builder = ThreadPoolExecutor(1, "build")
        self._pruner = ThreadPoolExecutor(1, "prune")
        self._comparer = ThreadPoolExecutor(1, "compare")
        self._prerunner = ThreadPoolExecutor(1, "prerun")

    @property
    def rpc_port(self) -> int:
        return self._rpc.port

    async def start(self) -> None:
        """Return when the JSON-RPC answers and the first work is being built."""
        loop = asyncio.get_running_loop()
        self.node.on_change(lambda: _wake(loop, self._changed))
        await self._rpc.start()
        self._tasks = [
            asyncio.create_task(self._produce()),
            asyncio.create_task(self._retry()),
            asyncio.create_task(self._prune()),
            asyncio.create_task(self._compare_models()),
        ]
        if self._prerun:
            self.node.on_change(lambda: _wake(loop, self._unexplored))
            self.node.prerunner.on_ready = lambda: _wake(loop, self._unexplored)
            self._tasks.append(asyncio.create_task(self._run_ahead()))

    async def stop(self) -> None:
        """End in order: no new requests, no new work, then the database."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._rpc.stop()
        self.node.likeness.close()
        for pool in (
            self._builder,
            self._comparer,
            self._prerunner,
            self._foreign,
            self._sealed,
            self._pruner,
        ):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)
        self.node.close()

    def status(self) -> NodeState:
        return self.node.status()

    async def submit(self, seal_hash: bytes, nonce: int, edges: tuple[int, ...]) -> Block:
        """Judge and import a miner's solution; raises `SubmissionRefused`."""
        return await self._in(self._sealed, lambda: self.node.submit(seal_hash, nonce, edges))

    async def import_sealed(self, block: Block) -> None:
        """Import a block that a miner sealed; raises `SubmissionRefused` or `StoreError`."""
        await self._in(self._sealed, lambda: self.node.import_sealed(block))

    async def import_blocks(self, blocks: Sequence[Block]) -> Imported:
        """Import blocks of a peer, parents first; see `Node.import_blocks`."""
        return await self._in(self._foreign, lambda: self.node.import_blocks(blocks))

    async def _produce(self) -> None:
        while True:
            self._changed.clear()
            try:
                package = await self._in(self._builder, self.node.refresh_work)
                self._on_work(package)
                await self._gather(package.block.header.parent_hash)
            except Exception as error:  # the top of a loop: the next try may do
                log.exception("no block could be built", extra={"action": "build_failed"})
                self.node.blocked = f"no block could be built: {error}"
                await asyncio.sleep(REBUILD_SECONDS)
            await self._wait_for_change(RECOMMIT_SECONDS - REBUILD_SECONDS)

    async def _gather(self, head: bytes) -> None:
        """Let transactions come together, but keep no miner on a head that is past."""
        for _ in range(HEAD_LOOKS):
            await asyncio.sleep(REBUILD_SECONDS / HEAD_LOOKS)
            if self.node.head().hash() != head:
                return

    async def _wait_for_change(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):  # wait_for may lose a cancellation
                await self._changed.wait()
        except TimeoutError:
            return

    async def _compare_models(self) -> None:
        """Look for copies among the models, one at a time and behind everything else."""
        while True:
            try:
                if await self._in(self._comparer, self.node.likeness.advance):
                    continue
            except Exception:  # the top of a loop: the next model may do
                log.exception("models are not compared", extra={"action": "comparison_failed"})
            await asyncio.sleep(COMPARE_SECONDS)

    async def _run_ahead(self) -> None:
        """Have inferences of waiting transactions computed, and leave others half of the time."""
        loop = asyncio.get_running_loop()
        while True:
            await self._unexplored.wait()
            self._unexplored.clear()
            started = loop.time()
            try:
                if await self._in(self._prerunner, self.node.run_ahead):
                    self._unexplored.set()
            except Exception:  # the top of a loop: the next try may do
                log.exception("running ahead failed", extra={"action": "prerun_failed"})
            await asyncio.sleep(PRERUN_REST * (loop.time() - started))

    async def _retry(self) -> None:
        attempt = self.node.resume
        while True:
            try:
                await self._in(self._foreign, attempt)
                attempt = self.node.retry
            except Exception:  # the top of a loop: the next try may do
                log.exception("waiting blocks failed", extra={"action": "retry_failed"})
            await asyncio.sleep(RETRY_SECONDS)

    async def _prune(self) -> None:
        """Drop old states, with most of the time left to others."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                has_more = await self._in(self._pruner, self.node.pruner.step)
            except Exception:  # the top of a loop: the next try may do
                log.exception("old states cannot be dropped", extra={"action": "prune_failed"})
                has_more = False
            rest = PRUNE_REST * (loop.time() - started) if has_more else PRUNE_SECONDS
            await asyncio.sleep(rest)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(event.set)
