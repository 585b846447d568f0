"""Which nodes a state consists of: from its root down, through accounts, storage and code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum

from node.errors import StoreDamaged
from node.spec import rlp
from node.spec.crypto import EMPTY_CODE_HASH, EMPTY_ROOT
from node.spec.types import Account


class Kind(Enum):
    """What lies behind a hash; the same bytes are never two of them."""

    ACCOUNTS = "accounts"
    STORAGE = "storage"
    CODE = "code"


Reference = tuple[Kind, bytes]


def references(kind: Kind, raw: bytes) -> list[Reference]:
    """What a stored node or code names by hash."""
    return [] if kind is Kind.CODE else list(_within(kind, rlp.decode(raw)))


def _within(kind: Kind, item: rlp.Decoded) -> Iterator[Reference]:
    parts = rlp.decode_list(item)
    if len(parts) == 17:
        for part in parts[:16]:
            yield from _child(kind, part)
    elif rlp.decode_bytes(parts[0])[0] & 0x20:  # a leaf, by its hex prefix
        if kind is Kind.ACCOUNTS:
            yield from _account(rlp.decode_bytes(parts[1]))
    else:
        yield from _child(kind, parts[1])


def _child(kind: Kind, part: rlp.Decoded) -> Iterator[Reference]:
    if isinstance(part, list):
        yield from _within(kind, part)
    elif part:
        yield kind, part


def _account(encoded: bytes) -> Iterator[Reference]:
    account = Account.decode(encoded)
    if account.storage_root != EMPTY_ROOT:
        yield Kind.STORAGE, account.storage_root
    if account.code_hash != EMPTY_CODE_HASH:
        yield Kind.CODE, account.code_hash


Read = Callable[[bytes], bytes | None]
Claim = Callable[[bytes], bool]
"""Whether a hash comes up for the first time."""


class Walk:
    """A walk from state roots on. What remembers the hashes that came up is the caller's; the
    walk itself holds a stack as long as the paths of a trie are deep and wide."""

    def __init__(self) -> None:
        self._stack: list[Reference] = []

    def begin(self, state_root: bytes) -> None:
        if state_root != EMPTY_ROOT:
            self._stack.append((Kind.ACCOUNTS, state_root))

    @property
    def is_over(self) -> bool:
        return not self._stack

    def nodes(self, read: Read, claim: Claim, limit: int) -> Iterator[bytes]:
        """The next nodes and code, at most ``limit``. Raises `StoreDamaged` where one is
        missing."""
        while self._stack and limit:
            kind, key = self._stack.pop()
            if not claim(key):
                continue
            raw = read(key)
            if raw is None:
                raise StoreDamaged(f"the state lacks its node {key.hex()}")
            self._stack += references(kind, raw)
            limit -= 1
            yield raw
