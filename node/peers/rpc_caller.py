"""Calls of another node's JSON-RPC, in batches, bounded in bytes and time."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

import httpx

from node.peers.errors import FeedMisbehaves, FeedUnavailable, FeedUseless, PeerError
from node.peers.wire import MAX_BLOCK_BYTES

MAX_REPLY_BYTES = 4 * MAX_BLOCK_BYTES
#: Calls in one batch.
MAX_CALLS = 32

Call = tuple[str, list[Any]]


class CallRefused(PeerError):
    """The node answers a call with an error."""


class RpcCaller:
    """A node at a URL, which may take so many seconds for an answer."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url, self._seconds = url, seconds
        self._client = httpx.AsyncClient(timeout=seconds, trust_env=False)
        self._ids = itertools.count(1)

    async def close(self) -> None:
        await self._client.aclose()

    async def calls(self, calls: Sequence[Call]) -> list[Any]:
        """The results, in order. Raises `PeerError`."""
        answers = await self.answers(calls)
        for answer, (method, _) in zip(answers, calls, strict=True):
            if "result" not in answer:
                raise CallRefused(f"it refuses {method}: {_message(answer)}")
        return [answer["result"] for answer in answers]

    async def answers(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        first = next(self._ids)
        batch = [
            {"jsonrpc": "2.0", "id": first + place, "method": method, "params": params}
            for place, (method, params) in enumerate(calls)
        ]
        self._ids = itertools.count(first + len(batch))
        replies = await self._post(batch)
        if not isinstance(replies, list) or not all(isinstance(r, dict) for r in replies):
            raise FeedUseless(f"it answers no batch: {_message(replies)}")
        by_id = {r["id"]: r for r in replies if isinstance(r.get("id"), int)}
        try:
            return [by_id[call["id"]] for call in batch]
        except KeyError as error:
            raise FeedUseless("it leaves calls without an answer") from error

    async def _post(self, batch: list[dict[str, Any]]) -> Any:
        body = bytearray()
        try:
            async with (
                asyncio.timeout(2 * self._seconds),
                self._client.stream("POST", self._url, json=batch) as reply,
            ):
                async for chunk in reply.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_REPLY_BYTES:
                        raise FeedMisbehaves(f"an answer has over {MAX_REPLY_BYTES} bytes")
            return await asyncio.to_thread(json.loads, body)
        except (httpx.HTTPError, TimeoutError) as error:
            raise FeedUnavailable(f"no answer: {type(error).__name__}") from error
        except (ValueError, RecursionError) as error:
            raise FeedUseless("its answer is not JSON") from error


def _message(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    text = error.get("message", "") if isinstance(error, dict) else ""
    return str(text)[:100] or "no reason given"
