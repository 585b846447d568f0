"""Messages between farm nodes: one frame each, of bounded size, their content in RLP.

A frame is its payload's length (u32), the kind (u8), a request's number (u32, 0 where none), all
big-endian, then the payload. A list is split before its items are decoded, and its items are
counted first, so no message takes much more memory than its own bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from node.peers.errors import FeedMisbehaves
from node.peers.feed import MAX_BODIES, MAX_HEADERS, FeedStatus
from node.peers.identity import KEY_BYTES, SIGNATURE_BYTES
from node.spec import rlp
from node.spec.types import Block, Header, Transaction

PROTOCOL_VERSION = 1
PREFIX = struct.Struct(">IBI")
CHALLENGE_BYTES = 32
MAX_HEADER_BYTES = 1024
MAX_BLOCK_BYTES = 8 * 1024 * 1024
#: A reply with bodies stops once it is this long.
REPLY_BYTES = 1024 * 1024
MAX_TRANSACTION_BYTES = 128 * 1024
MAX_TRANSACTIONS = 256
MAX_HASHES = 1024
MAX_UNCLES = 2
MAX_TEXT_BYTES = 200
#: No transaction is shorter, so no block holds more of them than its bytes allow.
MIN_TRANSACTION_BYTES = 10
FIRST_LIST_PREFIX = 0xC0


class Kind(IntEnum):
    HELLO = 0
    GOODBYE = 1
    PING = 2
    """Asks for the status."""
    PONG = 3
    GET_HEADERS = 4
    HEADERS = 5
    GET_BODIES = 6
    BODIES = 7
    NEW_HEAD = 8
    NEW_BLOCK = 9
    TRANSACTION_HASHES = 10
    GET_TRANSACTIONS = 11
    POOLED_TRANSACTIONS = 12
    """In reply."""
    TRANSACTIONS = 13
    """Unasked."""


#: Longest payload of each kind, in bytes.
LIMITS = {
    Kind.HELLO: 1024,
    Kind.GOODBYE: 256,
    Kind.PING: 128,
    Kind.PONG: 128,
    Kind.GET_HEADERS: 32,
    Kind.HEADERS: MAX_HEADERS * MAX_HEADER_BYTES,
    Kind.GET_BODIES: MAX_BODIES * 33 + 8,
    Kind.BODIES: REPLY_BYTES + MAX_BLOCK_BYTES,
    Kind.NEW_HEAD: 128,
    Kind.NEW_BLOCK: MAX_BLOCK_BYTES,
    Kind.TRANSACTION_HASHES: MAX_HASHES * 33 + 8,
    Kind.GET_TRANSACTIONS: MAX_TRANSACTIONS * 33 + 8,
    Kind.POOLED_TRANSACTIONS: REPLY_BYTES + MAX_TRANSACTION_BYTES,
    Kind.TRANSACTIONS: REPLY_BYTES + MAX_TRANSACTION_BYTES,
}
REPLIES = {
    Kind.PING: Kind.PONG,
    Kind.GET_HEADERS: Kind.HEADERS,
    Kind.GET_BODIES: Kind.BODIES,
    Kind.GET_TRANSACTIONS: Kind.POOLED_TRANSACTIONS,
}
REPLY_KINDS = frozenset(REPLIES.values())


@dataclass(frozen=True)
class Hello:
    """The first message of each side; the listener's comes first."""

    version: int
    chain_id: int
    network_id: int
    genesis: bytes
    client: str
    status: FeedStatus
    challenge: bytes = b""
    """The listener's, of `CHALLENGE_BYTES`."""
    public_key: bytes = b""
    signature: bytes = b""
    """The dialler's proof of its key."""

    def encode(self) -> bytes:
        number = rlp.encode_int
        return rlp.encode(
            [
                number(self.version),
                number(self.chain_id),
                number(self.network_id),
                self.genesis,
                self.client.encode(),
                _status_items(self.status),
                self.challenge,
                self.public_key,
                self.signature,
            ]
        )

    @classmethod
    def decode(cls, payload: bytes) -> Hello:
        parts = rlp.decode_list(rlp.decode(payload), 9)
        version, chain_id, network_id = (rlp.decode_int(p, 8) for p in parts[:3])
        return cls(
            version,
            chain_id,
            network_id,
            rlp.decode_bytes(parts[3], 32),
            clean_text(rlp.decode_bytes(parts[4])),
            _status(parts[5]),
            _optional(parts[6], CHALLENGE_BYTES),
            _optional(parts[7], KEY_BYTES),
            _optional(parts[8], SIGNATURE_BYTES),
        )


def encode_status(status: FeedStatus) -> bytes:
    return rlp.encode(_status_items(status))


def decode_status(payload: bytes) -> FeedStatus:
    return _status(rlp.decode(payload))


def encode_range(first: int, count: int) -> bytes:
    return rlp.encode([rlp.encode_int(first), rlp.encode_int(count)])


def decode_range(payload: bytes) -> tuple[int, int]:
    """First number and how many, no more than are allowed."""
    first, count = rlp.decode_list(rlp.decode(payload), 2)
    return rlp.decode_int(first, 8), min(rlp.decode_int(count, 4), MAX_HEADERS)


def encode_hashes(hashes: Sequence[bytes]) -> bytes:
    return rlp.encode(list(hashes))


def decode_hashes(payload: bytes, limit: int) -> list[bytes]:
    items = rlp.split_list(payload, limit)
    return [rlp.decode_bytes(rlp.decode(_bounded(item, 33)), 32) for item in items]


def decode_headers(payload: bytes) -> list[Header]:
    items = rlp.split_list(payload, MAX_HEADERS)
    return [Header.decode(_bounded(item, MAX_HEADER_BYTES)) for item in items]


def decode_bodies(payload: bytes, headers: Sequence[Header]) -> list[Block]:
    """The bodies in reply to a request for those of ``headers``: the first of them."""
    return [
        decode_body(header, item)
        for header, item in zip(headers, rlp.split_list(payload, len(headers)), strict=False)
    ]


def decode_body(header: Header, body: bytes) -> Block:
    """A block from its header and the encoding of [transactions, uncles]."""
    transactions, uncles = _parts(body, 2)
    return Block(header, tuple(_transactions(transactions)), tuple(_uncles(uncles)))


def decode_block(block: bytes) -> Block:
    """A block from its encoding, as `decode_body` bounded."""
    header, transactions, uncles = _parts(block, 3)
    return Block(
        Header.decode(_bounded(header, MAX_HEADER_BYTES)),
        tuple(_transactions(transactions)),
        tuple(_uncles(uncles)),
    )


def decode_transactions(payload: bytes) -> list[Transaction]:
    items = rlp.split_list(payload, MAX_TRANSACTIONS)
    return [_transaction(_bounded(item, MAX_TRANSACTION_BYTES)) for item in items]


def encode_text(text: str) -> bytes:
    return rlp.encode(text.encode()[:MAX_TEXT_BYTES])


def decode_text(payload: bytes) -> str:
    return clean_text(rlp.decode_bytes(rlp.decode(payload)))


def clean_text(raw: bytes) -> str:
    """A stranger's words, short and printable."""
    text = raw[:MAX_TEXT_BYTES].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "·" for c in text)


def encode_new_block(block: Block, total_difficulty: int) -> bytes:
    return rlp.join_list([block.encode(), rlp.encode(rlp.encode_int(total_difficulty))])


def decode_new_block(payload: bytes) -> tuple[Block, int]:
    block, total = _parts(payload, 2)
    return decode_block(block), rlp.decode_int(rlp.decode(total))


def read_kind(raw: int) -> Kind:
    try:
        return Kind(raw)
    except ValueError as error:
        raise FeedMisbehaves(f"it sends messages of an unknown kind {raw}") from error


def _transactions(items: bytes) -> list[Transaction]:
    most = len(items) // MIN_TRANSACTION_BYTES
    return [_transaction(item) for item in rlp.split_list(items, most)]


def _transaction(item: bytes) -> Transaction:
    parts = _parts(item, 9)
    if any(part[0] >= FIRST_LIST_PREFIX for part in parts):
        raise rlp.RlpError("a transaction holds no lists")
    return Transaction.from_items([rlp.decode(part) for part in parts])


def _uncles(items: bytes) -> list[Header]:
    return [
        Header.decode(_bounded(item, MAX_HEADER_BYTES))
        for item in rlp.split_list(items, MAX_UNCLES)
    ]


def _parts(data: bytes, count: int) -> list[bytes]:
    parts = rlp.split_list(data, count)
    if len(parts) < count:
        raise rlp.RlpError(f"{len(parts)} items where {count} are expected")
    return parts


def _bounded(item: bytes, limit: int) -> bytes:
    if len(item) > limit:
        raise rlp.RlpError(f"an item of {len(item)} bytes where {limit} are the most")
    return item


def _optional(item: rlp.Decoded, size: int) -> bytes:
    return b"" if item == b"" else rlp.decode_bytes(item, size)


def _status_items(status: FeedStatus) -> list[rlp.Item]:
    number = rlp.encode_int
    return [status.head_hash, number(status.number), number(status.total_difficulty)]


def _status(item: rlp.Decoded) -> FeedStatus:
    head, number, total = rlp.decode_list(item, 3)
    return FeedStatus(rlp.decode_bytes(head, 32), rlp.decode_int(number, 8), rlp.decode_int(total))
