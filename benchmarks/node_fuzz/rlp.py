"""Every decoder of the node on mutated encodings: it refuses, or what it gives encodes back to the
very same bytes."""

from __future__ import annotations

import json
import os
import random
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from node.chains.farmnet import FARMNET
from node.spec import rlp
from node.spec.crypto import keccak
from node.spec.genesis import genesis_block
from node.spec.meta import decode_meta
from node.spec.types import (
    EMPTY_BLOOM,
    Account,
    Block,
    Header,
    Log,
    Receipt,
    Transaction,
)

MAX_BYTES = 64 * 1024
#: An input of that size takes milliseconds.
MAX_SECONDS = 2.0
SAMPLE = 4096


class Encoded(Protocol):
    def encode(self) -> bytes: ...


class Item:
    """Any RLP item."""

    def __init__(self, data: bytes) -> None:
        self._item = rlp.decode(data)

    def encode(self) -> bytes:
        return rlp.encode(self._item)


DECODERS: dict[str, Callable[[bytes], Encoded]] = {
    "item": Item,
    "header": Header.decode,
    "transaction": Transaction.decode,
    "block": Block.decode,
    "receipt": Receipt.decode,
    "account": Account.decode,
    "metadata": decode_meta,
}


class Nodes(dict[bytes, bytes]):
    """A store of state nodes in memory."""

    def put(self, key: bytes, value: bytes) -> None:
        self[key] = value


def seeds() -> list[bytes]:
    """Valid encodings of each kind: made here, and the real ones where their folder is."""
    header = genesis_block(FARMNET, Nodes()).header
    transaction = Transaction(7, 10, 90_000, b"\xaa" * 20, 10**18, b"\1" * 70)
    signed = transaction.sign(b"\x11" * 32, FARMNET.chain_id)
    creation = replace(signed, to=None, data=b"\0\1" + bytes(40))
    uncle = replace(header, number=3, extra=b"uncle")
    log = Log(b"\xbb" * 20, (keccak(b"a"), keccak(b"b")), b"\2" * 33)
    made: list[Encoded] = [
        header,
        signed,
        creation,
        Block(header, (signed, creation), (uncle,)),
        Receipt(True, 21_000, EMPTY_BLOOM, (log, log)),
        Account(3, 10**20, upload=524_288, num=9),
    ]
    return [each.encode() for each in made] + real_seeds(os.environ)


def real_seeds(environment: Mapping[str, str]) -> list[bytes]:
    folder = Path(environment.get("FARMCTL_VECTORS", "vectors"))
    if not folder.is_dir():
        return []
    blocks = json.loads((folder / "blocks.json").read_text())
    metas = json.loads((folder / "meta_contracts.json").read_text())
    texts = [b["block_rlp"] for b in blocks] + [m["code_hex"] for m in metas]
    return [bytes.fromhex(text[2:]) for text in texts]


def mutate(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Changed in its bytes, or in its tree and encoded again."""
    for _ in range(chance.randrange(1, 4)):
        data = chance.choice(BYTE_CHANGES)(chance, data, others)
    if chance.random() < 0.4:
        with suppress(rlp.RlpError):
            data = rlp.encode(mutate_item(chance, rlp.decode(data)))
    return data[:MAX_BYTES]


def _flip(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    if not data:
        return b"\xc0"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _cut(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randrange(1, 40) :]


def _insert(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randrange(1, 20)) + data[at:]


def _splice(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]


def _prefix(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """A length that lies, somewhere."""
    at = chance.randrange(len(data) + 1)
    size = chance.choice((b"\xf8", b"\xb8", b"\xff", b"\xbf", b"\xc1", b"\x81", b"\xfb"))
    return data[:at] + size + chance.randbytes(chance.randrange(8)) + data[at + 1 :]


def _nest(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    for _ in range(chance.choice((1, 2, 63, 64, 65, 500))):
        data = rlp.encode([data]) if chance.random() < 0.01 else b"\xc1" + data
    return data


def _keep(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    return data


BYTE_CHANGES = (_flip, _cut, _insert, _splice, _prefix, _nest, _keep, _keep, _keep)


def mutate_item(chance: random.Random, item: rlp.Decoded) -> rlp.Decoded:
    """One place of the tree changed."""
    if isinstance(item, list) and item and chance.random() < 0.9:
        at = chance.randrange(len(item))
        if chance.random() < 0.1:
            return item[:at] + item[at:] * chance.randrange(3)
        return [*item[:at], mutate_item(chance, item[at]), *item[at + 1 :]]
    size = chance.choice((0, 1, 4, 8, 9, 19, 20, 21, 31, 32, 33, 256, 300))
    strings = (b"", b"\0", b"\xff" * size, bytes(size), chance.randbytes(size))
    return chance.choice((*strings, [], [b""], [[], [[]]]))


def check(name: str, data: bytes) -> bool:
    """Whether it was taken. Raises `RuntimeError` where that is wrong."""
    try:
        found = DECODERS[name](data)
    except rlp.RlpError:
        return False
    if found.encode() != data:
        raise RuntimeError(f"{name}: took what is not its encoding: {data.hex()}")
    return True


def fuzz_rlp(seconds: float, seed: int) -> dict[str, Any]:
    chance, corpus = random.Random(seed), seeds()
    ends = time.monotonic() + seconds
    count, slowest, memory = 0, 0.0, memory_megabytes()
    taken = dict.fromkeys(DECODERS, 0)
    while time.monotonic() < ends:
        data = mutate(chance, chance.choice(corpus), corpus)
        began = time.process_time()
        for name in DECODERS:
            taken[name] += check(name, data)
        slowest = max(slowest, time.process_time() - began)
        if slowest > MAX_SECONDS:
            raise RuntimeError(f"{slowest:.1f} s for {data.hex()}")
        count += 1
        if len(corpus) < SAMPLE and chance.random() < 0.001:
            corpus.append(data or b"\xc0")  # changes come together
    return {
        "seed": seed,
        "inputs": count,
        **{f"taken_as_{name}": number for name, number in taken.items()},
        "slowest_milliseconds": slowest * 1e3,
        "memory_grown_megabytes": memory_megabytes() - memory,
    }


def memory_megabytes() -> float:
    """Of this process, at its most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
