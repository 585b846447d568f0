"""The JSON-RPC on the web: HTTP POST and WebSocket at the same address."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from node.rpc.dispatcher import Dispatcher, Reply, failure, is_overload, render
from node.rpc.errors import InvalidRequest
from node.rpc.session import Session, SlowReader
from node.rpc.settings import RpcSettings
from node.rpc.subscriptions import Feed

LOOPBACK = ("localhost", "127.0.0.1")
#: Pages that may speak to the node; a browser names the page's origin with each POST.
LOCAL_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1)(:\d+)?")
FOREIGN_PAGE = "pages of this machine alone may ask"
#: Codes of RFC 6455: too many connections; a policy is violated.
TRY_AGAIN_LATER, POLICY = 1013, 1008


class WebDoor:
    def __init__(self, dispatcher: Dispatcher, feed: Feed, settings: RpcSettings) -> None:
        self._dispatcher = dispatcher
        self._feed = feed
        self._settings = settings
        self._websockets = 0

    def build(self, host: str) -> Starlette:
        cors = Middleware(
            CORSMiddleware,
            allow_origin_regex=LOCAL_ORIGIN.pattern,
            allow_methods=["POST"],
            allow_headers=["content-type"],
        )
        # A page elsewhere must not reach it under a name of its own.
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
        return Starlette(
            routes=[
                Route("/", self._answer_http, methods=["POST"]),
                WebSocketRoute("/", self._serve_websocket),
            ],
            middleware=[hosts, cors] if host in LOOPBACK else [cors],
        )

    async def _answer_http(self, request: Request) -> Response:
        if _is_foreign(request):
            return Response(FOREIGN_PAGE, status_code=403)
        try:
            body = await self._read(request)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        if body is None:
            most = self._settings.max_body_bytes
            too_long = InvalidRequest(f"a request holds at most {most} bytes")
            return _json(failure(None, too_long))
        reply = await self._dispatcher.answer_bytes(body, _client(request))
        if reply is None:
            return Response(status_code=204)
        return _json(reply)

    async def _read(self, request: Request) -> bytes | None:
        """The body; None where it is too long."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._settings.max_body_bytes:
                return None
        return bytes(body)

    async def _serve_websocket(self, websocket: WebSocket) -> None:
        if _is_foreign(websocket):
            await websocket.close(POLICY, FOREIGN_PAGE)
            return
        await websocket.accept()
        if self._websockets >= self._settings.max_websockets:
            await websocket.close(TRY_AGAIN_LATER, "too many WebSockets; try again later")
            return
        self._websockets += 1
        try:
            await self._talk(websocket)
        finally:
            self._websockets -= 1

    async def _talk(self, websocket: WebSocket) -> None:
        async def send(text: bytes) -> None:
            await websocket.send_text(text.decode())

        session = Session(self._dispatcher, self._feed, self._settings, _client(websocket), send)
        try:
            await session.serve(_messages(websocket))
        except (SlowReader, WebSocketDisconnect):
            return  # nothing more can be said: the connection is cut


async def _messages(websocket: WebSocket) -> AsyncIterator[bytes]:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        yield message["bytes"] if text is None else text.encode()


def _json(reply: Reply | list[Reply]) -> Response:
    """429 where all was refused for now: clients know to wait and come again."""
    status = 429 if is_overload(reply) else 200
    return Response(render(reply), status, media_type="application/json")


def _is_foreign(connection: HTTPConnection) -> bool:
    origin = connection.headers.get("origin")
    return origin is not None and not LOCAL_ORIGIN.fullmatch(origin)


def _client(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""
