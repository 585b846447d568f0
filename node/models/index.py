"""The published models and inputs of a chain, in memory, by address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from node.spec.meta import InputMeta, ModelMeta


@dataclass(frozen=True)
class Publication:
    """A metadata contract and the block that created it."""

    address: bytes
    meta: ModelMeta | InputMeta
    block_number: int


class ModelIndex:
    """Publications by address and by infohash. The owner keeps it in step with the chain."""

    def __init__(self) -> None:
        self._by_address: dict[bytes, Publication] = {}
        self._calls: Counter[bytes] = Counter()

    def add(self, publication: Publication) -> None:
        self._by_address[publication.address] = publication

    def get(self, address: bytes) -> Publication | None:
        return self._by_address.get(address)

    def find(self, infohash: bytes) -> list[Publication]:
        """All publications of the same content, the earliest first."""
        found = [each for each in self if each.meta.hash == infohash]
        return sorted(found, key=lambda each: (each.block_number, each.address))

    def remove_from(self, block_number: int) -> None:
        """Forget what was created in this block or later (the chain was reorganised)."""
        self._by_address = {
            address: each
            for address, each in self._by_address.items()
            if each.block_number < block_number
        }

    def count_call(self, address: bytes, calls: int = 1) -> None:
        self._calls[address] += calls

    def calls(self, address: bytes) -> int:
        return self._calls[address]

    def __iter__(self) -> Iterator[Publication]:
        return iter(self._by_address.values())

    def __len__(self) -> int:
        return len(self._by_address)
