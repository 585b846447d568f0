"""The state after a block, read from feeds piece by piece, each piece proven against its header."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from node.light.errors import FeedLies, LightError
from node.light.feed import AccountProof, Feed
from node.light.feeds import Feeds
from node.rpc.errors import InvalidParams
from node.rpc.forms import parse_hash, parse_quantity
from node.spec.crypto import EMPTY_CODE_HASH, EMPTY_ROOT, keccak
from node.spec.proof import InvalidProof, read_account, read_slot, store_nodes
from node.spec.state import State
from node.spec.trie import MemoryStore
from node.spec.types import Account, Header

#: Accounts, slots and codes that one execution may fetch.
MAX_FETCHES = 1000
MAX_SECONDS = 25.0
CODE_BYTES = 32 * 1024 * 1024


class TooMuchState(LightError):
    """The call reads more state than a light node fetches; ask a full node."""


class CodeCache:
    """Code by its hash, bounded; the least used goes first. Safe for several threads."""

    def __init__(self, most_bytes: int = CODE_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._codes: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, code_hash: bytes) -> bytes | None:
        with self._lock:
            code = self._codes.get(code_hash)
            if code is not None:
                self._codes.move_to_end(code_hash)
            return code

    def put(self, code_hash: bytes, code: bytes) -> None:
        with self._lock:
            if code_hash in self._codes:
                return
            self._codes[code_hash] = code
            self._bytes += len(code)
            while self._bytes > self._most:
                _, old = self._codes.popitem(last=False)
                self._bytes -= len(old)


class ProvenState(State):
    """The state after ``header``; what is written goes nowhere. Reading raises `NoAnswer` where no
    feed can prove it, and `TooMuchState`."""

    def __init__(self, header: Header, feeds: Feeds, codes: CodeCache) -> None:
        self._nodes = MemoryStore()
        super().__init__(self._nodes, header.state_root)
        self._header, self._feeds, self._known_codes = header, feeds, codes
        self._roots: dict[bytes, bytes] = {}
        """Storage roots of the accounts that were fetched."""
        self._slots: set[tuple[bytes, int]] = set()
        self._fetches, self._ends = 0, time.monotonic() + MAX_SECONDS

    def account(self, address: bytes) -> Account | None:
        if address not in self._roots and address not in self._accounts:
            self._fetch(address, ())
        return super().account(address)

    def get_code(self, address: bytes) -> bytes:
        code_hash = self.get_code_hash(address)
        if code_hash not in self._codes and code_hash != EMPTY_CODE_HASH:
            self._codes[code_hash] = self._find_code(address, code_hash)
        return super().get_code(address)

    def get_storage(self, address: bytes, slot: int) -> int:
        self._need_slot(address, slot)
        return super().get_storage(address, slot)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self._need_slot(address, slot)
        super().set_storage(address, slot, value)

    def _need_slot(self, address: bytes, slot: int) -> None:
        self.account(address)
        if (
            self._roots.get(address, EMPTY_ROOT) != EMPTY_ROOT
            and (address, slot) not in self._slots
        ):
            self._fetch(address, (slot,))
            self._slots.add((address, slot))

    def _fetch(self, address: bytes, slots: tuple[int, ...]) -> None:
        self._count()
        block_hash = self._header.hash()

        def prove(feed: Feed) -> tuple[Account | None, AccountProof]:
            proof = feed.prove(address, slots, block_hash)
            return check_proof(proof, self._header.state_root, address, slots), proof

        account, proof = self._feeds.ask(f"account 0x{address.hex()}", prove)
        self._roots[address] = account.storage_root if account else EMPTY_ROOT
        for nodes in (proof.nodes, *proof.slots):
            self._nodes.update(store_nodes(nodes))

    def _find_code(self, address: bytes, code_hash: bytes) -> bytes:
        known = self._known_codes.get(code_hash)
        if known is not None:
            return known
        self._count()
        block_hash = self._header.hash()

        def fetch(feed: Feed) -> bytes:
            code = feed.code(address, block_hash)
            if keccak(code) != code_hash:
                raise FeedLies(f"{feed.name} gives other code of 0x{address.hex()} than there is")
            return code

        code = self._feeds.ask(f"code of 0x{address.hex()}", fetch)
        self._known_codes.put(code_hash, code)
        return code

    def _count(self) -> None:
        self._fetches += 1
        if self._fetches > MAX_FETCHES or time.monotonic() > self._ends:
            raise TooMuchState(
                f"this reads more than {MAX_FETCHES} pieces of state or takes longer than "
                f"{MAX_SECONDS:g} s; ask a full node"
            )


def check_proof(
    proof: AccountProof, state_root: bytes, address: bytes, slots: tuple[int, ...]
) -> Account | None:
    """The proven account; raises `FeedLies` where proof or claims are wrong."""
    try:
        account = read_account(state_root, address, proof.nodes)
        root = account.storage_root if account else EMPTY_ROOT
        for slot, nodes in zip(slots, proof.slots, strict=True):
            read_slot(root, slot, nodes)
    except InvalidProof as error:
        raise FeedLies(f"no proof of 0x{address.hex()}: {error}") from error
    _check_claims(proof, account, address)
    return account


def _check_claims(proof: AccountProof, account: Account | None, address: bytes) -> None:
    shown = account or Account()
    try:
        agrees = (
            parse_quantity(proof.claims["balance"]) == shown.balance
            and parse_quantity(proof.claims["nonce"]) == shown.nonce
        )
        if account is not None:  # of no account, nodes word the hashes each in its own way
            agrees &= parse_hash(proof.claims["codeHash"]) == shown.code_hash
            agrees &= parse_hash(proof.claims["storageHash"]) == shown.storage_root
    except InvalidParams as error:
        raise FeedLies(f"no fields of 0x{address.hex()}: {error}") from error
    if not agrees:
        raise FeedLies(f"what it says of 0x{address.hex()} is not what its own proof shows")
