"""Contracts that the machine itself provides, at the addresses 1 to 9."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from node.spec.vm.precompiles import blake2f, bn128, hashing, modexp


@dataclass(frozen=True)
class Precompile:
    """``gas`` prices an input; ``run`` raises `PrecompileFailed` where it refuses one."""

    gas: Callable[[bytes], int]
    run: Callable[[bytes], bytes]


@cache
def precompiles(istanbul: bool) -> Mapping[bytes, Precompile]:
    """The contracts in force, by address. Prices of BN128 fell with EIP-1108."""
    add, multiply, pair, pair_each = (
        (150, 6_000, 45_000, 34_000) if istanbul else (500, 40_000, 100_000, 80_000)
    )
    contracts = [
        Precompile(lambda _: 3_000, hashing.recover),
        Precompile(hashing.word_price(60, 12), hashing.sha256),
        Precompile(hashing.word_price(600, 120), hashing.ripemd160),
        Precompile(hashing.word_price(15, 3), bytes),
        Precompile(modexp.price, modexp.run),
        Precompile(lambda _: add, bn128.add),
        Precompile(lambda _: multiply, bn128.multiply),
        Precompile(lambda data: pair + len(data) // bn128.PAIR_BYTES * pair_each, bn128.pair),
    ]
    if istanbul:
        contracts.append(Precompile(blake2f.price, blake2f.run))
    return {number.to_bytes(20, "big"): item for number, item in enumerate(contracts, 1)}
