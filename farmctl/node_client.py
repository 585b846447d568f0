"""The embedded node as the controller sees it: its status on the bus, the rest by JSON-RPC."""

from __future__ import annotations

import itertools
from typing import Any

import httpx

from farmctl.errors import Unavailable

TIMEOUT_SECONDS = 5.0


class NodeClient:
    """JSON-RPC over HTTP. Raises `Unavailable` when the node does not answer or refuses."""

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
            raise Unavailable(f"the node refuses {method}: {answer['error'].get('message')}")
        return answer["result"]

    async def block(self, number: int | None = None) -> dict[str, Any] | None:
        """A block with its transactions; the newest without a number, None if there is none."""
        tag = "latest" if number is None else hex(number)
        found: dict[str, Any] | None = await self.call("eth_getBlockByNumber", tag, True)
        return found

    async def close(self) -> None:
        await self._client.aclose()
