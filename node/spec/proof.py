"""Merkle proofs: what a root says of a key, shown by the nodes on the way to it."""

from __future__ import annotations

from collections.abc import Sequence

from node.spec import rlp
from node.spec.crypto import keccak
from node.spec.trie import MemoryStore, MissingNode, Trie
from node.spec.types import Account


class InvalidProof(ValueError):
    """The nodes do not lead from the root to the key, or to where it would be."""


def store_nodes(nodes: Sequence[bytes]) -> MemoryStore:
    """Nodes by their hash: nothing in it can be another than its hash says."""
    return MemoryStore((keccak(node), node) for node in nodes)


def read_proof(root: bytes, key: bytes, nodes: Sequence[bytes], secure: bool) -> bytes | None:
    """The proven value, or None where the proof shows that there is none. ``secure`` as of
    `node.spec.trie.Trie`. Raises `InvalidProof`."""
    try:
        return Trie(store_nodes(nodes), root, secure).get(key)
    except MissingNode as error:
        raise InvalidProof(f"the proof is not whole: {error}") from error


def read_account(root: bytes, address: bytes, nodes: Sequence[bytes]) -> Account | None:
    """An account under a state root. Raises `InvalidProof`."""
    encoded = read_proof(root, address, nodes, secure=True)
    return Account.decode(encoded) if encoded else None


def read_slot(root: bytes, slot: int, nodes: Sequence[bytes]) -> int:
    """A slot under an account's storage root. Raises `InvalidProof`."""
    encoded = read_proof(root, slot.to_bytes(32, "big"), nodes, secure=True)
    return rlp.decode_int(rlp.decode(encoded)) if encoded else 0


def read_item(root: bytes, index: int, nodes: Sequence[bytes]) -> bytes | None:
    """An item of a list (transactions, receipts) under its root; None beyond its end. Raises
    `InvalidProof`."""
    return read_proof(root, rlp.encode(rlp.encode_int(index)), nodes, secure=False)


def prove_item(values: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes that show an item of a list, root first."""
    trie = Trie(MemoryStore())
    for place, value in enumerate(values):
        trie.set(rlp.encode(rlp.encode_int(place)), value)
    return trie.prove(rlp.encode(rlp.encode_int(index)))
