"""One full node, asked over JSON-RPC and never believed: what it says is checked here or by who
asked. Answers are bounded in size and time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import pydantic_core

from node.light.errors import FeedLies, FeedLost, FeedUseless, NoMethod
from node.peers.json_blocks import parse_header
from node.peers.settings import PeerSection
from node.rpc.errors import InvalidParams, MethodNotFound, Overloaded
from node.rpc.forms import hexbytes, parse_bytes, parse_hash, parse_quantity, quantity
from node.spec.types import Block, Header, Receipt

SECONDS = 8.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
#: Requests of one batch.
BATCH = 50
#: Headers of one answer.
AT_ONCE = 512
#: A feed that has too much to do is asked again after this, so often.
BUSY_SECONDS = 0.5
BUSY_ATTEMPTS = 10

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True)
class Head:
    number: int
    block_hash: bytes


@dataclass(frozen=True)
class AccountProof:
    """As the feed gives it; nodes are RLP, root first. Nothing here is checked."""

    claims: Json
    """The account's fields as the feed words them."""
    nodes: tuple[bytes, ...]
    slots: tuple[tuple[bytes, ...], ...]
    """Nodes of each slot that was asked for, in that order."""


class Feed:
    """Methods raise `FeedLost`, `FeedUseless` or `FeedLies`. Safe for several threads."""

    def __init__(self, url: str) -> None:
        self.url, self.name = url, PeerSection(url).name
        self._client = httpx.Client(timeout=SECONDS, trust_env=False)
        self._idents = itertools.count(1)
        self._ways: tuple[Callable[[int, int], list[Header]], ...] = (
            self._headers_at_once,
            self._raw_headers,
            self._headers_of_blocks,
        )
        """To fetch headers, the quickest that it knows first."""

    def close(self) -> None:
        self._client.close()

    def chain_id(self) -> int:
        return _read(lambda: parse_quantity(self.call("eth_chainId"), "chain id"))

    def head(self) -> Head:
        """What it says is the newest block."""
        told = self._object(self.call("eth_getBlockByNumber", "latest", False))
        return _read(
            lambda: Head(
                parse_quantity(told.get("number"), "number"), parse_hash(told.get("hash"), "hash")
            )
        )

    def hash_at(self, number: int) -> bytes | None:
        told = self.call("eth_getBlockByNumber", quantity(number), False)
        return None if told is None else _read(lambda: parse_hash(self._object(told).get("hash")))

    def header(self, block_hash: bytes) -> Header:
        """The header of that hash."""
        told = self._object(self.call("eth_getBlockByHash", hexbytes(block_hash), False))
        header = _read(lambda: _read_header(told))
        if header.hash() != block_hash:
            raise FeedLies(f"{self.name} gives another header than the one asked for")
        return header

    def headers(self, first: int, count: int) -> list[Header]:
        """Those from a number on, up to where it has none; it may give fewer than ``count``."""
        while True:
            try:
                return self._ways[0](first, count)
            except NoMethod:
                if len(self._ways) == 1:
                    raise
                self._ways = self._ways[1:]

    def _headers_at_once(self, first: int, count: int) -> list[Header]:
        found = self.call("debug_getRawHeaders", quantity(first), quantity(min(count, AT_ONCE)))
        return _read(lambda: [_decode_header(told) for told in found])

    def _raw_headers(self, first: int, count: int) -> list[Header]:
        numbers = range(first, first + min(count, BATCH))
        found = self._batch("debug_getRawHeader", [[quantity(n)] for n in numbers])
        return _read(lambda: [_decode_header(told) for told in _until_none(found)])

    def _headers_of_blocks(self, first: int, count: int) -> list[Header]:
        numbers = range(first, first + min(count, BATCH))
        found = self._batch("eth_getBlockByNumber", [[quantity(n), False] for n in numbers])
        return _read(lambda: [_read_header(self._object(told)) for told in _until_none(found)])

    def prove(self, address: bytes, slots: Sequence[int], block_hash: bytes) -> AccountProof:
        where = {"blockHash": hexbytes(block_hash)}
        words = [hexbytes(slot.to_bytes(32, "big")) for slot in slots]
        told = self._object(self.call("eth_getProof", hexbytes(address), words, where))
        return _read(lambda: _read_proof(told, len(slots)))

    def code(self, address: bytes, block_hash: bytes) -> bytes:
        where = {"blockHash": hexbytes(block_hash)}
        told = self.call("eth_getCode", hexbytes(address), where)
        return _read(lambda: parse_bytes(told, name="code"))

    def transaction_proof(self, transaction_hash: bytes) -> Json | None:
        """The answer of ``ctxc_getTransactionProof``, unread."""
        told = self.call("ctxc_getTransactionProof", hexbytes(transaction_hash))
        return None if told is None else self._object(told)

    def block(self, block_hash: bytes) -> tuple[Block, list[Receipt]]:
        """A block and its receipts."""
        where = hexbytes(block_hash)
        told = self.call("debug_getRawBlock", where), self.call("debug_getRawReceipts", where)
        if None in told:
            raise FeedUseless(f"{self.name} has not block {where}")
        return _read(lambda: (_decode_block(told[0]), [_decode_receipt(r) for r in told[1]]))

    def send(self, raw: bytes) -> None:
        """Hand a transaction on; `FeedUseless` says why it is refused."""
        self.call("eth_sendRawTransaction", hexbytes(raw))

    def gas_price(self) -> int:
        return _read(lambda: parse_quantity(self.call("eth_gasPrice")))

    def call(self, method: str, *params: Any) -> Any:
        """The result. An error that it answers with is `FeedUseless`."""
        return _result(method, self._ask(self._request(method, list(params))))

    def _batch(self, method: str, params: list[list[Any]]) -> list[Any]:
        """Results in order."""
        requests = [self._request(method, each) for each in params]
        replies = self._ask(requests)
        if not isinstance(replies, list):
            raise FeedUseless(f"{self.name} takes no batches: {str(replies)[:120]}")
        by_ident = {r.get("id"): r for r in replies if isinstance(r, dict)}
        return [_result(method, by_ident.get(request["id"])) for request in requests]

    def _request(self, method: str, params: list[Any]) -> Json:
        return {"jsonrpc": "2.0", "id": next(self._idents), "method": method, "params": params}

    def _ask(self, body: Any) -> Any:
        """The reply, waited for where the feed has too much to do."""
        for _ in range(BUSY_ATTEMPTS):
            reply = self._post(body)
            if not _is_busy(reply):
                return reply
            time.sleep(BUSY_SECONDS)
        raise FeedLost(f"{self.name} has too much to do")

    def _post(self, body: Any) -> Any:
        try:
            with self._client.stream("POST", self.url, json=body) as response:
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise FeedLies(f"{self.name} answers with more than was asked for")
        except httpx.HTTPError as error:
            raise FeedLost(
                f"{self.name} does not answer: {error or type(error).__name__}"
            ) from error
        try:
            return pydantic_core.from_json(bytes(content), allow_inf_nan=False)
        except ValueError as error:
            raise FeedUseless(f"{self.name} answers with no JSON") from error

    def _object(self, told: Any) -> Json:
        if not isinstance(told, dict):
            raise FeedUseless(f"{self.name} has not what was asked for")
        return told


def _result(method: str, reply: Any) -> Any:
    if isinstance(reply, dict) and "result" in reply and not reply.get("error"):
        return reply["result"]
    error = _error(reply)
    kind = NoMethod if error.get("code") == MethodNotFound.code else FeedUseless
    raise kind(f"{method}: {str(error.get('message') or 'no answer')[:200]}")


def _error(reply: Any) -> Json:
    error = reply.get("error") if isinstance(reply, dict) else None
    return error if isinstance(error, dict) else {}


def _is_busy(reply: Any) -> bool:
    replies = reply if isinstance(reply, list) else [reply]
    return any(_error(each).get("code") == Overloaded.code for each in replies)


def _read(read: Callable[[], T]) -> T:
    """Raises `FeedLies` where an answer has not the form of one."""
    try:
        return read()
    except (InvalidParams, TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise FeedLies(f"an answer that is none: {str(error)[:200]}") from error


def _until_none(found: Sequence[Any]) -> list[Any]:
    return list(itertools.takewhile(lambda told: told is not None, found))


def _decode_header(told: Any) -> Header:
    return Header.decode(parse_bytes(told, name="header"))


def _decode_block(told: Any) -> Block:
    """Nodes of this network leave out the 0x."""
    text = told if str(told).startswith("0x") else f"0x{told}"
    return Block.decode(parse_bytes(text, name="block"))


def _decode_receipt(told: Any) -> Receipt:
    return Receipt.decode(parse_bytes(told, name="receipt"))


def _read_proof(told: Json, slots: int) -> AccountProof:
    proofs = told["storageProof"]
    if len(proofs) != slots:
        raise ValueError("proofs for other slots than those asked for")
    return AccountProof(
        claims={name: told.get(name) for name in ("balance", "nonce", "codeHash", "storageHash")},
        nodes=tuple(parse_bytes(node) for node in told["accountProof"]),
        slots=tuple(tuple(parse_bytes(node) for node in proof["proof"]) for proof in proofs),
    )


def _read_header(told: Json) -> Header:
    header = parse_header(told)
    if header.hash() != parse_hash(told["hash"]):
        raise ValueError("a header whose hash is another")
    return Header.decode(header.encode())
