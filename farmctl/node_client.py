"""The embedded node as the controller sees it: its status on the bus, the rest by JSON-RPC."""

from __future__ import annotations

import itertools
from typing import Any

import httpx

from farmctl.errors import BadRequest, FarmError, NotFound, Unavailable

TIMEOUT_SECONDS = 5.0
INVALID_PARAMS, NOT_FOUND = -32602, -32001


class NodeClient:
    """JSON-RPC over HTTP. Raises `Unavailable` when the node does not answer or
    cannot do it, `BadRequest` or `NotFound` when the request is at fault."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._ids = itertools.count(1)

    async def call(self, method: str, *parameters: Any) -> Any:
        body = {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": method,
            "params": list(parameters),
        }
        try:
            answer = (await self._client.post("/", json=body)).json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"the node does not answer: {error}") from error
        if "error" in answer:
            raise _refusal(method, answer["error"])
        return answer["result"]

    async def block(self, number: int | None = None) -> dict[str, Any] | None:
        """A block with its transactions; the newest without a number, None if there is none."""
        tag = "latest" if number is None else hex(number)
        found: dict[str, Any] | None = await self.call("eth_getBlockByNumber", tag, True)
        return found

    async def close(self) -> None:
        await self._client.aclose()


def _refusal(method: str, error: dict[str, Any]) -> FarmError:
    """The farm's error for one of the JSON-RPC."""
    message = f"the node refuses {method}: {error.get('message')}"
    kind = {INVALID_PARAMS: BadRequest, NOT_FOUND: NotFound}.get(error.get("code", 0), Unavailable)
    return kind(message)
