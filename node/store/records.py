"""How the parts of a block lie in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from zlib import crc32

from node.models.notices import MAGIC
from node.spec import rlp
from node.spec.types import Block, Header, Receipt, Transaction

EMPTY_LIST = b"\xc0"


@dataclass(frozen=True)
class Location:
    """Where a transaction stands on the canonical chain."""

    block_hash: bytes
    index: int

    def encode(self) -> bytes:
        return self.block_hash + self.index.to_bytes(4, "big")

    @classmethod
    def decode(cls, raw: bytes) -> Location:
        return cls(raw[:32], int.from_bytes(raw[32:], "big"))


@dataclass(frozen=True)
class Executed:
    """A block with all that its execution gave."""

    block: Block
    receipts: tuple[Receipt, ...]
    total_difficulty: int
    nodes: Mapping[bytes, bytes] = field(default_factory=dict)
    """New state nodes and code by their keccak."""
    calls: Mapping[bytes, int] = field(default_factory=dict)
    """INFER calls by the model's infohash."""
    metas: tuple[bytes, ...] = ()
    """Addresses of model and input accounts created here."""


@lru_cache(maxsize=256)
def decode_header(raw: bytes) -> Header:
    """Importing a block asks for its parent's header again and again."""
    return Header.decode(raw)


@lru_cache(maxsize=8)
def join_block(header: bytes, body: bytes) -> Block:
    """A new block is read again by whatever follows the chain."""
    transactions, uncles = rlp.decode_list(rlp.decode(body), 2)
    return Block(
        decode_header(header),
        tuple(Transaction.from_items(t) for t in rlp.decode_list(transactions)),
        tuple(Header.from_items(u) for u in rlp.decode_list(uncles)),
    )


def encode_body(block: Block) -> bytes:
    return rlp.encode([[t.items() for t in block.transactions], [u.items() for u in block.uncles]])


def encode_calls(calls: Mapping[bytes, int]) -> bytes:
    return rlp.encode([part for m, n in calls.items() for part in (m, n.to_bytes(4, "big"))])


def decode_calls(raw: bytes | None) -> dict[bytes, int]:
    flat = _strings(raw or EMPTY_LIST)
    return {m: int.from_bytes(n, "big") for m, n in zip(flat[::2], flat[1::2], strict=True)}


def encode_receipts(receipts: tuple[Receipt, ...]) -> bytes:
    return rlp.encode([receipt.encode() for receipt in receipts])


def decode_receipts(raw: bytes | None) -> tuple[Receipt, ...]:
    return tuple(Receipt.decode(r) for r in _strings(raw or EMPTY_LIST))


def encode_sums(body: bytes, receipts: bytes, calls: bytes) -> bytes:
    """What is kept of a block's parts that no hash names as they lie here."""
    return b"".join(crc32(part).to_bytes(4, "big") for part in (body, receipts, calls))


def _strings(raw: bytes) -> list[bytes]:
    return [rlp.decode_bytes(item) for item in rlp.decode_list(rlp.decode(raw))]


def encode_number(number: int) -> bytes:
    """A block's number as a key, ascending; or a count."""
    return number.to_bytes(8, "big")


def decode_number(raw: bytes | None) -> int:
    """0 where there is none."""
    return int.from_bytes(raw or b"", "big")


def is_notice(transaction: Transaction) -> bool:
    """Whether a transaction says something of a model (`node.models.notices`)."""
    return transaction.to is not None and transaction.data.startswith(MAGIC)


def notice_key(block: Block, index: int) -> bytes:
    """By the model spoken of, then by the speaker, then in the order of the chain."""
    transaction = block.transactions[index]
    where = encode_number(block.header.number) + index.to_bytes(4, "big")
    return (transaction.to or b"") + (transaction.signer or b"") + where
