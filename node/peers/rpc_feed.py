"""A node behind an Ethereum-style JSON-RPC as a feed: it is asked, and told of transactions.

Raw headers and blocks are taken in whichever form the node has them. Where it has none, they are
put together from their JSON, which their hash then proves. JSON-RPC knows no way to hand over a
block, so those mined here reach such a node by others.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

import httpx

from node.peers.errors import (
    FeedMisbehaves,
    FeedUnavailable,
    FeedUnsettled,
    FeedUseless,
    PeerError,
    PeerRefused,
)
from node.peers.feed import MAX_BODIES, FeedStatus
from node.peers.handshake import Terms
from node.peers.json_blocks import count_uncles, read_block, read_bytes, read_header, read_quantity
from node.peers.limits import Known, PeerLimits
from node.peers.session import KNOWN_TRANSACTIONS
from node.peers.wire import MAX_BLOCK_BYTES, decode_block
from node.spec.rlp import RlpError
from node.spec.types import Block, Header, Transaction

MAX_REPLY_BYTES = 4 * MAX_BLOCK_BYTES
#: Calls in one batch.
MAX_CALLS = 32

Call = tuple[str, list[Any]]


class CallRefused(PeerError):
    """The node answers a call with an error."""


class RpcFeed:
    """A `node.peers.feed.Feed`. `begin` must come first."""

    kind = "rpc"

    def __init__(self, name: str, url: str, terms: Terms, limits: PeerLimits) -> None:
        self.name = name
        self.status = FeedStatus(terms.genesis, 0, 0)
        self.known_transactions = Known(KNOWN_TRANSACTIONS)
        self._url, self._terms = url, terms
        self._client = httpx.AsyncClient(timeout=limits.request_seconds, trust_env=False)
        self._limits = limits
        self._ids = itertools.count(1)
        self._has_raw_headers = False
        self._number: type[int] | type[str] | None = None
        """How it wants the number of a raw block; None where it has no raw blocks."""

    async def begin(self) -> None:
        """Look what it is. Raises `PeerError`."""
        chain_id, genesis = await self._calls(
            [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        )
        if read_quantity(chain_id) != self._terms.chain.chain_id:
            raise PeerRefused(f"it is on chain {read_quantity(chain_id)}")
        if genesis is None or read_bytes(genesis.get("hash")) != self._terms.genesis:
            raise PeerRefused("its chain begins with another genesis")
        await self._find_forms()
        await self.refresh()

    async def refresh(self) -> FeedStatus:
        (head,) = await self._calls([("eth_getBlockByNumber", ["latest", False])])
        if not isinstance(head, dict) or not head.get("totalDifficulty"):
            raise PeerRefused("it does not tell the total difficulty of its head")
        self.status = FeedStatus(
            read_bytes(head.get("hash")),
            read_quantity(head.get("number")),
            read_quantity(head.get("totalDifficulty")),
        )
        return self.status

    async def headers(self, first: int, count: int) -> list[Header]:
        numbers = range(first, first + min(count, MAX_CALLS))
        if self._has_raw_headers:
            raw = await self._calls([("debug_getRawHeader", [hex(n)]) for n in numbers])
            return [self._decode(Header.decode, item) for item in _until_none(raw)]
        found = await self._calls([("eth_getBlockByNumber", [hex(n), False]) for n in numbers])
        return [read_header(item) for item in _until_none(found)]

    async def bodies(self, headers: Sequence[Header]) -> list[Block]:
        asked = headers[: min(MAX_BODIES, MAX_CALLS)]
        if self._number is None:
            blocks = [await self._assemble(header) for header in asked[:1]]
        else:
            calls = [self._raw_block(header.number) for header in asked]
            raw = _until_none(await self._calls(calls))
            blocks = [self._decode(decode_block, item) for item in raw]
        for block, header in zip(blocks, asked, strict=False):
            if block.hash() != header.hash():
                raise FeedUnsettled("its chain changed while it was read")
        if asked and not blocks:
            raise FeedUseless(f"it gives no body for its block {asked[0].number}")
        return blocks

    async def send_transactions(self, transactions: Sequence[Transaction]) -> None:
        """Whether it takes them is its own affair."""
        self.known_transactions.add(t.hash() for t in transactions)
        for start in range(0, len(transactions), MAX_CALLS):
            batch = transactions[start : start + MAX_CALLS]
            calls = [("eth_sendRawTransaction", ["0x" + t.encode().hex()]) for t in batch]
            await self._answers(calls)

    async def close(self) -> None:
        await self._client.aclose()

    async def _find_forms(self) -> None:
        """Which raw forms it has, by asking for the genesis."""
        self._has_raw_headers = await self._gives_genesis("debug_getRawHeader", "0x0")
        for number in ("0x0", 0):
            if await self._gives_genesis("debug_getRawBlock", number):
                self._number = type(number)
                return

    async def _gives_genesis(self, method: str, number: str | int) -> bool:
        (answer,) = await self._answers([(method, [number])])
        try:
            raw = read_bytes(answer.get("result"))
            found = Header.decode(raw) if method.endswith("Header") else decode_block(raw)
        except (RlpError, FeedMisbehaves):
            return False
        return found.hash() == self._terms.genesis

    def _raw_block(self, number: int) -> Call:
        return "debug_getRawBlock", [number if self._number is int else hex(number)]

    async def _assemble(self, header: Header) -> Block:
        number = hex(header.number)
        (found,) = await self._calls([("eth_getBlockByNumber", [number, True])])
        if found is None or read_bytes(found.get("hash")) != header.hash():
            raise FeedUnsettled("its chain changed while it was read")
        calls: list[Call] = [
            ("eth_getUncleByBlockNumberAndIndex", [number, hex(place)])
            for place in range(min(count_uncles(found), MAX_CALLS))
        ]
        uncles = await self._calls(calls) if calls else []
        return await asyncio.to_thread(read_block, header, found, uncles)

    def _decode(self, decode: Any, item: Any) -> Any:
        try:
            return decode(read_bytes(item))
        except RlpError as error:
            raise FeedMisbehaves(f"its raw blocks cannot be read: {error}") from error

    async def _calls(self, calls: Sequence[Call]) -> list[Any]:
        """The results, in order. Raises `PeerError`."""
        answers = await self._answers(calls)
        for answer, (method, _) in zip(answers, calls, strict=True):
            if "result" not in answer:
                raise CallRefused(f"it refuses {method}: {_message(answer)}")
        return [answer["result"] for answer in answers]

    async def _answers(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
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
                asyncio.timeout(2 * self._limits.request_seconds),
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


def _until_none(found: list[Any]) -> list[Any]:
    return list(itertools.takewhile(lambda item: item is not None, found))


def _message(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    text = error.get("message", "") if isinstance(error, dict) else ""
    return str(text)[:100] or "no reason given"
