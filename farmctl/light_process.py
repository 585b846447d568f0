"""The process ``farmctl node run`` in light mode."""

from __future__ import annotations

import asyncio
import logging

from farmctl.cycles import verify_cycle
from farmctl.errors import ConfigError, FarmError
from farmctl.node_link import NodeLink
from farmctl.node_process import NodeProcess, find_interpreter
from node.errors import NodeError
from node.light.service import LightService
from node.models.loading import GraphLoader
from node.models.storage.combined import CombinedStorage

log = logging.getLogger(__name__)


class LightProcess(NodeProcess):
    """Everything of a light node's process: headers, proofs, JSON-RPC, and the farm's bus. Devices
    mine at ``[[pools]]`` alone, as it makes no blocks."""

    async def _run(self, storage: CombinedStorage, ending: asyncio.Event) -> None:
        feeds = self._find_feeds()
        loader = self._loader(storage)
        try:
            service = await asyncio.to_thread(self._light_service, loader, feeds)
        except NodeError as error:
            raise FarmError(str(error)) from error
        self.link = NodeLink(self._chain, service, loader, self._pools)
        await service.start()
        log.info("light, JSON-RPC on port %d", service.rpc_port, extra={"action": "node_started"})
        try:
            await self._work(self.link, ending)
        finally:
            await service.stop()

    def _find_feeds(self) -> list[str]:
        """Raises `ConfigError` for settings that need blocks."""
        if self._config.stratum.is_on:
            raise ConfigError("[stratum] needs a full node; a light one makes no blocks")
        if self._config.node.peer_listen or any(peer.is_farm for peer in self._config.peers):
            raise ConfigError(
                '[node] mode = "light" asks http(s):// nodes of [[peers]] alone, and none may '
                "connect to it; farm:// and peer_listen are for full nodes"
            )
        return [peer.url for peer in self._config.peers]

    def _light_service(self, loader: GraphLoader, feeds: list[str]) -> LightService:
        node = self._config.node
        return LightService(
            self._chain,
            self._home,
            self._config.light,
            feeds,
            loader,
            self._checked_engine(loader),
            verify_cycle,
            node.host,
            node.port,
            find_interpreter(self._config),
            self._config.rpc,
        )
