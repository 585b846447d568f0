"""JSON-RPC over HTTP, bounded: size of a body, requests in a batch, requests at once."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pydantic_core
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from node.core import Node
from node.errors import NodeError
from node.rpc.errors import (
    InvalidRequest,
    MethodNotFound,
    Overloaded,
    ParseError,
    RpcError,
    ServerError,
)
from node.rpc.registry import call_method, find_methods

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_BATCH = 100
MAX_PARAMS = 8
MAX_AT_ONCE = 64
THREADS = 4
REQUEST_SECONDS = 30.0
LOOPBACK = ("localhost", "127.0.0.1")
#: Pages that may speak to the node; a browser names the page's origin with each POST.
LOCAL_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1)(:\d+)?")

log = logging.getLogger(__name__)


class RpcServer:
    """Serves a node's methods. Port 0 takes a free one; ``port`` says which. Raises `NodeError`
    where the port is taken."""

    def __init__(self, node: Node, host: str, port: int) -> None:
        self._node = node
        self._waiting = 0
        self._threads = ThreadPoolExecutor(THREADS, "rpc")
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                self._build(host),
                log_level="warning",
                access_log=False,
                limit_concurrency=256,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=3,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it answers."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._socket.close()

    def _build(self, host: str) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        if host in LOOPBACK:  # a page elsewhere must not reach it under a name of its own
            app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
        app.add_middleware(
            CORSMiddleware,
            allow_origin_regex=LOCAL_ORIGIN.pattern,
            allow_methods=["POST"],
            allow_headers=["content-type"],
        )
        app.add_exception_handler(Exception, _answer_bug)
        app.add_api_route("/", self._answer_http, methods=["POST"])
        return app

    async def _answer_http(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and not LOCAL_ORIGIN.fullmatch(origin):
            return Response("pages of this machine alone may ask", status_code=403)
        try:
            reply = await self.answer(parse(await _body(request)))
        except RpcError as error:
            reply = _failure(None, error)
        if reply is None:
            return Response(status_code=204)
        return Response(json.dumps(reply, separators=(",", ":")), media_type="application/json")

    async def answer(self, request: Any) -> Any:
        """The reply to a request or a batch; None where none is wanted (notifications)."""
        if not isinstance(request, list):
            return await self._answer_one(request)
        if not 0 < len(request) <= MAX_BATCH:
            raise InvalidRequest(f"a batch holds 1 to {MAX_BATCH} requests")
        replies = [await self._answer_one(one) for one in request]
        return [r for r in replies if r is not None] or None

    async def _answer_one(self, request: Any) -> dict[str, Any] | None:
        wants_reply = not isinstance(request, dict) or "id" in request
        ident = request.get("id") if isinstance(request, dict) else None
        try:
            result = await self._run(*_request(request))
        except RpcError as error:
            reply = _failure(ident, error)
        else:
            reply = {"jsonrpc": "2.0", "id": ident, "result": result}
        return reply if wants_reply else None

    async def _run(self, name: str, params: list[Any]) -> Any:
        method = find_methods().get(name)
        if method is None:
            raise MethodNotFound(f"the method {name} does not exist")
        if self._waiting >= MAX_AT_ONCE:
            raise Overloaded("too many requests at once; try again")
        loop = asyncio.get_running_loop()
        self._waiting += 1
        running = loop.run_in_executor(self._threads, call_method, method, self._node, params)
        running.add_done_callback(self._finish)
        try:
            # Given up or not, it counts as waiting until its thread is free again.
            return await asyncio.wait_for(asyncio.shield(running), REQUEST_SECONDS)
        except TimeoutError as error:
            raise ServerError(f"no answer within {REQUEST_SECONDS:g} s") from error
        except NodeError as error:
            raise ServerError(str(error)) from error

    def _finish(self, running: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not running.cancelled():
            running.exception()  # seen, also where nobody waits for it any more


class _Server(uvicorn.Server):
    """Leaves the signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), reuse_port=False)
    except OSError as error:
        raise NodeError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another port"
        ) from error


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise InvalidRequest(f"a request holds at most {MAX_BODY_BYTES} bytes")
    return bytes(body)


def parse(body: bytes) -> Any:
    """JSON of bounded depth (about 200 levels, by its parser); raises `ParseError`."""
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ParseError("the body is not JSON") from error


def _request(request: Any) -> tuple[str, list[Any]]:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        raise InvalidRequest('a request is {"jsonrpc": "2.0", "id": …, "method": …, "params": []}')
    params = request.get("params", [])
    if not isinstance(params, list) or len(params) > MAX_PARAMS:
        raise InvalidRequest(f"params is a list of at most {MAX_PARAMS}")
    return request["method"], params


async def _answer_bug(request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error, extra={"action": "rpc_failed"})
    return Response(json.dumps(_failure(None, RpcError("internal error; see the node's log"))))


def _failure(ident: Any, error: RpcError) -> dict[str, Any]:
    if not isinstance(ident, str | int | float | None):
        ident = None
    return {"jsonrpc": "2.0", "id": ident, "error": error.body()}
