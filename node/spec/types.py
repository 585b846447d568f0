"""The protocol's records and their one encoding each (cortex-protocol §2).

Addresses are 20 bytes, hashes 32, amounts wei. Decoding raises `rlp.RlpError`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from node.spec import rlp
from node.spec.crypto import EMPTY_CODE_HASH, EMPTY_ROOT, EMPTY_UNCLES_HASH, keccak
from node.spec.transaction import Transaction

__all__ = ["Account", "Block", "Header", "Log", "Receipt", "Transaction"]

if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY_BLOOM = bytes(256)

#: The PoW covers the first thirteen header fields, parent_hash to extra.
SEALED_FIELDS = 13


@dataclass(frozen=True)
class Header:
    """A block header of 19 fields, in order of encoding."""

    parent_hash: bytes
    uncles_hash: bytes
    coinbase: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: bytes
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    """Seconds since the epoch."""
    extra: bytes
    mix_hash: bytes
    nonce: bytes
    """8 bytes, big-endian; the graph's header has it little-endian."""
    solution: tuple[int, ...]
    quota: int
    quota_used: int
    supply: int

    def items(self) -> list[rlp.Item]:
        """The fields as RLP items."""
        return [_item(getattr(self, name)) for name in _HEADER_FIELDS]

    def encode(self) -> bytes:
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        return rlp.encode(self.items())

    @cached_property
    def _hash(self) -> bytes:
        return keccak(self._encoded)

    def hash(self) -> bytes:
        """The block's hash: Keccak-256 of all 19 fields."""
        return self._hash

    def seal_encode(self) -> bytes:
        return rlp.encode(self.items()[:SEALED_FIELDS])

    def seal_hash(self) -> bytes:
        """What the PoW is done over: Keccak-256 of the first 13 fields."""
        return keccak(self.seal_encode())

    def nonce_int(self) -> int:
        return int.from_bytes(self.nonce, "big")

    @classmethod
    def decode(cls, data: bytes) -> Header:
        return cls.from_items(rlp.decode(data))

    @classmethod
    def from_items(cls, item: rlp.Decoded) -> Header:
        parts = rlp.decode_list(item, len(_HEADER_FIELDS))
        values = [read(part) for read, part in zip(_HEADER_READERS, parts, strict=True)]
        return cls(*values)  # type: ignore[arg-type]


def _item(value: object) -> rlp.Item:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return rlp.encode_int(value)
    return [rlp.encode_int(edge) for edge in cast("tuple[int, ...]", value)]


def _sized(size: int) -> Callable[[rlp.Decoded], object]:
    return lambda item: rlp.decode_bytes(item, size)


def _integer(max_bytes: int) -> Callable[[rlp.Decoded], object]:
    return lambda item: rlp.decode_int(item, max_bytes)


def _solution(item: rlp.Decoded) -> tuple[int, ...]:
    """The edges; the wire form has exactly 42 of 32 bits, whatever the graph's size."""
    return tuple(rlp.decode_int(edge, 4) for edge in rlp.decode_list(item, 42))


_HEADER_FIELDS = tuple(f.name for f in fields(Header))
_HEADER_READERS: tuple[Callable[[rlp.Decoded], object], ...] = (
    *(_sized(n) for n in (32, 32, 20, 32, 32, 32, 256)),
    _integer(32),
    _integer(32),
    *(_integer(8) for _ in range(3)),
    rlp.decode_bytes,
    _sized(32),
    _sized(8),
    _solution,
    _integer(8),
    _integer(8),
    _integer(32),
)


@dataclass(frozen=True)
class Block:
    header: Header
    transactions: tuple[Transaction, ...] = ()
    uncles: tuple[Header, ...] = ()

    def hash(self) -> bytes:
        return self.header.hash()

    def encode(self) -> bytes:
        transactions = [t.items() for t in self.transactions]
        return rlp.encode([self.header.items(), transactions, [u.items() for u in self.uncles]])

    @classmethod
    def decode(cls, data: bytes) -> Block:
        header, transactions, uncles = rlp.decode_list(rlp.decode(data), 3)
        return cls(
            Header.from_items(header),
            tuple(Transaction.from_items(t) for t in rlp.decode_list(transactions)),
            tuple(Header.from_items(u) for u in rlp.decode_list(uncles)),
        )


def uncles_hash(uncles: tuple[Header, ...]) -> bytes:
    """What a header's ``uncles_hash`` commits to."""
    return keccak(rlp.encode([u.items() for u in uncles])) if uncles else EMPTY_UNCLES_HASH


@dataclass(frozen=True)
class Log:
    address: bytes
    topics: tuple[bytes, ...]
    """At most four, of 32 bytes."""
    data: bytes

    def items(self) -> list[rlp.Item]:
        return [self.address, list(self.topics), self.data]

    @classmethod
    def from_items(cls, item: rlp.Decoded) -> Log:
        address, topics, data = rlp.decode_list(item, 3)
        words = tuple(rlp.decode_bytes(t, 32) for t in rlp.decode_list(topics))
        return cls(rlp.decode_bytes(address, 20), words, rlp.decode_bytes(data))


@dataclass(frozen=True)
class Receipt:
    """What a transaction did, in the form since Byzantium: a status, not a root."""

    succeeded: bool
    cumulative_gas_used: int
    bloom: bytes
    logs: tuple[Log, ...]
    # Below: known by executing, not part of the encoding.
    gas_used: int = 0
    contract_address: bytes | None = None

    def items(self) -> list[rlp.Item]:
        status = b"\1" if self.succeeded else b""
        gas = rlp.encode_int(self.cumulative_gas_used)
        return [status, gas, self.bloom, [log.items() for log in self.logs]]

    def encode(self) -> bytes:
        return rlp.encode(self.items())

    @classmethod
    def decode(cls, data: bytes) -> Receipt:
        status, gas, bloom, logs = rlp.decode_list(rlp.decode(data), 4)
        if status not in (b"", b"\1"):
            raise rlp.RlpError("a receipt's status is 0 or 1")
        entries = tuple(Log.from_items(log) for log in rlp.decode_list(logs))
        return cls(status == b"\1", rlp.decode_int(gas, 8), rlp.decode_bytes(bloom, 256), entries)


@dataclass(frozen=True)
class Account:
    """An account's six fields."""

    nonce: int = 0
    balance: int = 0
    storage_root: bytes = EMPTY_ROOT
    code_hash: bytes = EMPTY_CODE_HASH
    upload: int = 0
    """Bytes of a model or input that are still to be uploaded."""
    num: int = 0
    """Block from which the model counts: of its creation, then of the end of its upload."""

    @property
    def is_empty(self) -> bool:
        return (
            self.nonce == 0
            and self.balance == 0
            and self.code_hash == EMPTY_CODE_HASH
            and self.upload == 0
            and self.num == 0
        )

    def encode(self) -> bytes:
        number = rlp.encode_int
        return rlp.encode(
            [
                number(self.nonce),
                number(self.balance),
                self.storage_root,
                self.code_hash,
                number(self.upload),
                number(self.num),
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Account:
        nonce, balance, root, code, upload, num = rlp.decode_list(rlp.decode(data), 6)
        return cls(
            rlp.decode_int(nonce, 8),
            rlp.decode_int(balance),
            rlp.decode_bytes(root, 32),
            rlp.decode_bytes(code, 32),
            rlp.decode_int(upload),
            rlp.decode_int(num),
        )

    def change(self, **values: int | bytes) -> Account:
        return replace(self, **values)  # type: ignore[arg-type]
