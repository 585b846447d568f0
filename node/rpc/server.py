"""The JSON-RPC at work: its doors, the threads behind them, and the feed of news."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import uvicorn

from node.rpc.dispatcher import Dispatcher
from node.rpc.ipc import IpcDoor
from node.rpc.registry import Method
from node.rpc.settings import RpcSettings
from node.rpc.subscriptions import Feed
from node.rpc.web import WebDoor
from node.serving import GuestServer, open_port

#: In the node's home.
SOCKET = "node.ipc"


class RpcServer:
    """Serves the methods of a node, by default those of a full one. Port 0 takes a free one;
    ``port`` says which. Raises `NodeError` where the port is taken."""

    def __init__(
        self, node: Any, host: str, port: int, methods: Mapping[str, Method] | None = None
    ) -> None:
        settings: RpcSettings = node.rpc
        self._dispatcher = Dispatcher(node, settings, methods)
        self._feed = Feed(node)
        self._ipc = IpcDoor(node.home / SOCKET, self._dispatcher, self._feed, settings)
        self._socket = open_port(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._server = GuestServer(
            uvicorn.Config(
                WebDoor(self._dispatcher, self._feed, settings).build(host),
                log_level="error",  # whoever sends no HTTP must not fill the log
                access_log=False,
                proxy_headers=False,  # else a caller on loopback says himself who he is
                lifespan="off",
                http="httptools",
                limit_concurrency=settings.max_connections,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=3,
                ws_max_size=settings.max_body_bytes,
                ws_per_message_deflate=False,
            )
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Return when it answers. Raises `NodeError`."""
        await self._ipc.start()
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        self._tasks = [serving, asyncio.create_task(self._feed.run())]
        while not self._server.started:
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        await self._ipc.stop()
        self._server.should_exit = True
        if self._tasks:
            serving, telling = self._tasks
            await serving
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        await asyncio.to_thread(self._dispatcher.close)
        self._socket.close()
