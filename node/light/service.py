"""The light node at work: it follows headers and answers the JSON-RPC."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from node.core import NodeState
from node.errors import SubmissionReason, SubmissionRefused
from node.inference import InferEngine
from node.light.methods import find_light_methods
from node.light.node import LightNode
from node.light.settings import LightSettings
from node.models.loading import GraphLoader
from node.rpc.server import RpcServer
from node.rpc.settings import RpcSettings
from node.spec.chain import Chain
from node.spec.seal import CycleVerifier, is_cycle
from node.spec.types import Block
from node.spec.vm import fast
from node.spec.vm.frame import Interpret

#: Feeds are asked for a new head so often.
POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


class LightService:
    """Has the form of `node.service.NodeService`, for a node without blocks of its own."""

    def __init__(
        self,
        chain: Chain,
        home: Path,
        settings: LightSettings,
        feeds: Sequence[str],
        loader: GraphLoader,
        engine: InferEngine,
        verify_cycle: CycleVerifier = is_cycle,
        rpc_host: str = "127.0.0.1",
        rpc_port: int = 8545,
        interpret: Interpret = fast.interpret,
        rpc: RpcSettings | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self.node = LightNode(
            *(chain, home, settings, feeds, loader, engine, verify_cycle),
            interpret=interpret,
            rpc=rpc,
        )
        self._poll_seconds = poll_seconds
        self._rpc = RpcServer(self.node, rpc_host, rpc_port, find_light_methods())
        self._follower = ThreadPoolExecutor(1, "follow")
        self._following: asyncio.Task[None] | None = None

    @property
    def rpc_port(self) -> int:
        return self._rpc.port

    async def start(self) -> None:
        """Return when the JSON-RPC answers."""
        await self._rpc.start()
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._rpc.stop()
        await asyncio.to_thread(self._follower.shutdown, cancel_futures=True)
        self.node.close()

    def status(self) -> NodeState:
        node = self.node
        why = "" if node.feeds.usable() else node.follower.comparison()
        return NodeState(node.chain.name, node.head(), 0, 0, why)

    async def submit(self, seal_hash: bytes, nonce: int, edges: tuple[int, ...]) -> Block:
        """Raises `SubmissionRefused`: no work ever came from here."""
        raise SubmissionRefused(SubmissionReason.STALE, "a light node makes no blocks")

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            has_more = False
            try:
                has_more = await loop.run_in_executor(self._follower, self.node.follower.follow)
            except Exception:  # the top of a loop: the next round may do
                log.exception("headers could not be followed", extra={"action": "follow_failed"})
            await asyncio.sleep(0.0 if has_more else self._poll_seconds)
