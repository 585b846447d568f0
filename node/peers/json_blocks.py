"""Blocks put together from the JSON of an RPC. Whether they are right their hash says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from node.peers.errors import FeedMisbehaves, FeedUseless
from node.spec.types import Block, Header, Transaction

T = TypeVar("T")


def read_header(found: Any) -> Header:
    """From a block object. Raises `FeedUseless` where fields are missing or add up to another
    hash than it says."""
    header, block_hash = _checked(lambda f: (parse_header(f), _bytes(f["hash"])), found)
    if header.hash() != block_hash:
        raise FeedUseless(f"its JSON of block {header.number} is not the whole header")
    return _checked(Header.decode, header.encode())


def parse_header(found: Any) -> Header:
    """From a block object; neither hash nor lengths are checked. Raises what reading JSON of
    another form does: KeyError, TypeError, ValueError, AttributeError or OverflowError."""
    return Header(
        parent_hash=_bytes(found["parentHash"]),
        uncles_hash=_bytes(found["sha3Uncles"]),
        coinbase=_bytes(found["miner"]),
        state_root=_bytes(found["stateRoot"]),
        transactions_root=_bytes(found["transactionsRoot"]),
        receipts_root=_bytes(found["receiptsRoot"]),
        bloom=_bytes(found["logsBloom"]),
        difficulty=_number(found["difficulty"]),
        number=_number(found["number"]),
        gas_limit=_number(found["gasLimit"]),
        gas_used=_number(found["gasUsed"]),
        timestamp=_number(found["timestamp"]),
        extra=_bytes(found["extraData"]),
        mix_hash=_bytes(found["mixHash"]),
        nonce=_bytes(found["nonce"]),
        solution=tuple(int(edge) for edge in found["solution"]),
        quota=_number(found["quota"]),
        quota_used=_number(found["quotaUsed"]),
        supply=_number(found["supply"]),
    )


def read_block(header: Header, found: Any, uncles: list[Any]) -> Block:
    """From a block object with its transactions in full, and those of its uncles."""
    transactions = _checked(lambda f: tuple(_transaction(t) for t in f["transactions"]), found)
    return Block(header, transactions, tuple(read_header(uncle) for uncle in uncles))


def count_uncles(found: Any) -> int:
    return _checked(lambda f: len(f["uncles"]), found)


def read_quantity(value: Any) -> int:
    return _checked(_number, value)


def read_bytes(value: Any) -> bytes:
    """From hex, with or without 0x."""
    return _checked(_bytes, value)


def _checked(read: Callable[[Any], T], found: Any) -> T:
    try:
        return read(found)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise FeedMisbehaves("its answer is not what an Ethereum-style node says") from error


def _number(value: str) -> int:
    return int(value, 16)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _transaction(found: dict[str, Any]) -> Transaction:
    return Transaction(
        nonce=_number(found["nonce"]),
        gas_price=_number(found["gasPrice"]),
        gas=_number(found["gas"]),
        to=_bytes(found["to"]) if found["to"] else None,
        value=_number(found["value"]),
        data=_bytes(found["input"]),
        v=_number(found["v"]),
        r=_number(found["r"]),
        s=_number(found["s"]),
    )
