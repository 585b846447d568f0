"""Answers requests and batches, whatever brought them: bounds, threads, errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pydantic_core

from node.errors import NodeError
from node.rpc.errors import (
    InvalidRequest,
    MethodNotFound,
    Overloaded,
    ParseError,
    RpcError,
    ServerError,
)
from node.rpc.rates import RateLimiter
from node.rpc.registry import Method, find_methods
from node.rpc.settings import RpcSettings
from node.spec.trie import MissingNode

MAX_PARAMS = 8
THREADS = 4
HEAVY_THREADS = 4

log = logging.getLogger(__name__)

#: Methods of one connection alone: they take the parameters.
OwnMethods = Mapping[str, Callable[[list[Any]], Awaitable[Any]]]
Reply = dict[str, Any]


class Dispatcher:
    """``methods`` are those of a full node where none are given."""

    def __init__(
        self, node: Any, settings: RpcSettings, methods: Mapping[str, Method] | None = None
    ) -> None:
        self._node = node
        self._methods = find_methods() if methods is None else methods
        self._settings = settings
        self._waiting = 0
        self._rates = RateLimiter(settings.requests_per_second)
        self._light = ThreadPoolExecutor(THREADS, "rpc")
        self._heavy = ThreadPoolExecutor(HEAVY_THREADS, "rpc-heavy")

    def close(self) -> None:
        """Wait for what runs; what has not begun is given up."""
        for pool in (self._light, self._heavy):
            pool.shutdown(cancel_futures=True)

    async def answer_bytes(
        self, body: bytes, client: str | None, own: OwnMethods | None = None
    ) -> Reply | list[Reply] | None:
        """The reply to a request or a batch as it came; None where none is wanted. ``client`` is
        an address, or None where no rate is to bound it."""
        try:
            if len(body) > self._settings.max_body_bytes:
                raise InvalidRequest(
                    f"a request holds at most {self._settings.max_body_bytes} bytes"
                )
            return await self.answer(parse(body), client, own)
        except RpcError as error:
            return failure(None, error)

    async def answer(
        self, request: Any, client: str | None, own: OwnMethods | None = None
    ) -> Reply | list[Reply] | None:
        """Raises `InvalidRequest` where a batch is empty or too long."""
        if not isinstance(request, list):
            return await self._answer_one(request, client, own)
        if not 0 < len(request) <= self._settings.max_batch:
            raise InvalidRequest(f"a batch holds 1 to {self._settings.max_batch} requests")
        replies = [await self._answer_one(one, client, own) for one in request]
        return [r for r in replies if r is not None] or None

    async def _answer_one(
        self, request: Any, client: str | None, own: OwnMethods | None
    ) -> Reply | None:
        wants_reply = not isinstance(request, dict) or "id" in request
        ident = request.get("id") if isinstance(request, dict) else None
        try:
            name, params = _request(request)
            if client is not None and not self._rates.take(client):
                most = self._settings.requests_per_second
                raise Overloaded(f"more than {most} requests a second; slow down")
            reply = {"jsonrpc": "2.0", "id": ident, "result": await self._run(name, params, own)}
        except RpcError as error:
            reply = failure(ident, error)
        except Exception:  # the top of a request: the next may do
            log.exception("a request failed", extra={"action": "rpc_failed"})
            reply = failure(ident, RpcError("internal error; see the node's log"))
        return reply if wants_reply else None

    async def _run(self, name: str, params: list[Any], own: OwnMethods | None) -> Any:
        if own and name in own:
            return await own[name](params)
        method = self._methods.get(name)
        if method is None:
            raise MethodNotFound(f"the method {name[:80]} does not exist or is not available")
        if self._waiting >= self._settings.max_waiting:
            raise Overloaded("too many requests at once; try again")
        return await self._run_in_thread(method, params)

    async def _run_in_thread(self, method: Method, params: list[Any]) -> Any:
        pool = self._heavy if method.is_heavy else self._light
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(pool, method.call, self._node, params)
        running.add_done_callback(self._finish)
        seconds = self._settings.request_seconds
        try:
            # Given up or not, it counts as waiting until its thread is free again.
            async with asyncio.timeout(seconds):  # wait_for may lose a cancellation
                return await asyncio.shield(running)
        except TimeoutError as error:
            raise ServerError(f"no answer within {seconds:g} s") from error
        except MissingNode as error:
            raise ServerError("the state was pruned while it was read; ask again") from error
        except NodeError as error:
            raise ServerError(str(error)) from error

    def _finish(self, running: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not running.cancelled():
            running.exception()  # seen, also where nobody waits for it any more


def parse(body: bytes) -> Any:
    """JSON of bounded depth (about 200 levels, by its parser); raises `ParseError`."""
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ParseError("the body is not JSON") from error


def render(reply: Reply | list[Reply]) -> bytes:
    return pydantic_core.to_json(reply)


def failure(ident: Any, error: RpcError) -> Reply:
    if not isinstance(ident, str | int | float | None):
        ident = None
    return {"jsonrpc": "2.0", "id": ident, "error": error.body()}


def is_overload(reply: Reply | list[Reply]) -> bool:
    """Whether the client is to come back later, with all that it asked."""
    replies = reply if isinstance(reply, list) else [reply]
    return all(r.get("error", {}).get("code") == Overloaded.code for r in replies)


def _request(request: Any) -> tuple[str, list[Any]]:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        raise InvalidRequest('a request is {"jsonrpc": "2.0", "id": …, "method": …, "params": []}')
    if not isinstance(request.get("id"), str | int | float | None):
        raise InvalidRequest("id: a string or a number")
    params = request.get("params")
    params = [] if params is None else params
    if not isinstance(params, list) or len(params) > MAX_PARAMS:
        raise InvalidRequest(f"params is a list of at most {MAX_PARAMS}")
    return request["method"], params
