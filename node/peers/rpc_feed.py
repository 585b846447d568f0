"""A node behind an Ethereum-style JSON-RPC as a feed: it is asked, and told of transactions.

Raw headers and blocks are taken in whichever form the node has them. Where it has none, they are
put together from their JSON, which their hash then proves. JSON-RPC knows no way to hand over a
block, so those mined here reach such a node by others.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from node.peers.errors import (
    FeedMisbehaves,
    FeedUnsettled,
    FeedUseless,
    PeerRefused,
)
from node.peers.feed import MAX_BODIES, FeedStatus
from node.peers.handshake import Terms
from node.peers.json_blocks import count_uncles, read_block, read_bytes, read_header, read_quantity
from node.peers.limits import Known, PeerLimits
from node.peers.rpc_caller import MAX_CALLS, Call, RpcCaller
from node.peers.session import KNOWN_TRANSACTIONS
from node.peers.wire import decode_block
from node.spec.rlp import RlpError
from node.spec.types import Block, Header, Transaction


class RpcFeed:
    """A `node.peers.feed.Feed`. `begin` must come first."""

    kind = "rpc"

    def __init__(self, name: str, url: str, terms: Terms, limits: PeerLimits) -> None:
        self.name = name
        self.status = FeedStatus(terms.genesis, 0, 0)
        self.known_transactions = Known(KNOWN_TRANSACTIONS)
        self._terms = terms
        self._rpc = RpcCaller(url, limits.request_seconds)
        self._has_raw_headers = False
        self._number: type[int] | type[str] | None = None
        """How it wants the number of a raw block; None where it has no raw blocks."""

    async def begin(self) -> None:
        """Look what it is. Raises `PeerError`."""
        chain_id, genesis = await self._rpc.calls(
            [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        )
        if read_quantity(chain_id) != self._terms.chain.chain_id:
            raise PeerRefused(f"it is on chain {read_quantity(chain_id)}")
        if genesis is None or read_bytes(genesis.get("hash")) != self._terms.genesis:
            raise PeerRefused("its chain begins with another genesis")
        await self._find_forms()
        await self.refresh()

    async def refresh(self) -> FeedStatus:
        (head,) = await self._rpc.calls([("eth_getBlockByNumber", ["latest", False])])
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
            raw = await self._rpc.calls([("debug_getRawHeader", [hex(n)]) for n in numbers])
            return [self._decode(Header.decode, item) for item in _until_none(raw)]
        found = await self._rpc.calls([("eth_getBlockByNumber", [hex(n), False]) for n in numbers])
        return [read_header(item) for item in _until_none(found)]

    async def bodies(self, headers: Sequence[Header]) -> list[Block]:
        asked = headers[: min(MAX_BODIES, MAX_CALLS)]
        if self._number is None:
            blocks = [await self._assemble(header) for header in asked[:1]]
        else:
            calls = [self._raw_block(header.number) for header in asked]
            raw = _until_none(await self._rpc.calls(calls))
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
            await self._rpc.answers(calls)

    async def close(self) -> None:
        await self._rpc.close()

    async def _find_forms(self) -> None:
        """Which raw forms it has, by asking for the genesis."""
        self._has_raw_headers = await self._gives_genesis("debug_getRawHeader", "0x0")
        for number in ("0x0", 0):
            if await self._gives_genesis("debug_getRawBlock", number):
                self._number = type(number)
                return

    async def _gives_genesis(self, method: str, number: str | int) -> bool:
        (answer,) = await self._rpc.answers([(method, [number])])
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
        (found,) = await self._rpc.calls([("eth_getBlockByNumber", [number, True])])
        if found is None or read_bytes(found.get("hash")) != header.hash():
            raise FeedUnsettled("its chain changed while it was read")
        calls: list[Call] = [
            ("eth_getUncleByBlockNumberAndIndex", [number, hex(place)])
            for place in range(min(count_uncles(found), MAX_CALLS))
        ]
        uncles = await self._rpc.calls(calls) if calls else []
        return await asyncio.to_thread(read_block, header, found, uncles)

    def _decode(self, decode: Any, item: Any) -> Any:
        try:
            return decode(read_bytes(item))
        except RlpError as error:
            raise FeedMisbehaves(f"its raw blocks cannot be read: {error}") from error


def _until_none(found: list[Any]) -> list[Any]:
    return list(itertools.takewhile(lambda item: item is not None, found))
