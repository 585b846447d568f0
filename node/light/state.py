"""The state after a block, read from feeds piece by piece, each piece proven against its header."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from node.light.errors import FeedLies, LightError
from node.light.feed import AccountProof, Feed
from node.light.feeds import Feeds
from node.overlay import Overlay
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
#: Blocks of whose states proofs are remembered.
MAX_STATES = 4
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


class Proofs:
    """What is known of the state after ``header``, and proven. Safe for several threads."""

    def __init__(self, header: Header, feeds: Feeds, codes: CodeCache) -> None:
        self.header, self.nodes = header, MemoryStore()
        self._feeds, self._codes = feeds, codes
        self._roots: dict[bytes, bytes] = {}
        """Storage roots of the accounts that are known."""
        self._slots: set[tuple[bytes, int]] = set()

    @property
    def pieces(self) -> int:
        """Accounts and slots that are known."""
        return len(self._roots) + len(self._slots)

    def knows_account(self, address: bytes) -> bool:
        return address in self._roots

    def knows_slot(self, address: bytes, slot: int) -> bool:
        """Of an account that is known. One without storage has no slot to be fetched."""
        return self._roots[address] == EMPTY_ROOT or (address, slot) in self._slots

    def fetch(self, address: bytes, slots: tuple[int, ...] = ()) -> None:
        """An account, and slots of it. Raises `NoAnswer`."""
        header = self.header

        def prove(feed: Feed) -> tuple[Account | None, AccountProof]:
            proof = feed.prove(address, slots, header.hash())
            return check_proof(proof, header.state_root, address, slots), proof

        account, proof = self._feeds.ask(f"account 0x{address.hex()}", prove)
        for nodes in (proof.nodes, *proof.slots):
            self.nodes.update(store_nodes(nodes))
        self._slots.update((address, slot) for slot in slots)
        self._roots[address] = account.storage_root if account else EMPTY_ROOT

    def code(self, address: bytes, code_hash: bytes) -> bytes:
        """Raises `NoAnswer`."""
        known = self._codes.get(code_hash)
        if known is not None:
            return known

        def fetch(feed: Feed) -> bytes:
            code = feed.code(address, self.header.hash())
            if keccak(code) != code_hash:
                raise FeedLies(f"{feed.name} gives other code of 0x{address.hex()} than there is")
            return code

        found = self._feeds.ask(f"code of 0x{address.hex()}", fetch)
        self._codes.put(code_hash, found)
        return found


class ProvenState(State):
    """The state after a header; what is written goes nowhere. Reading raises `NoAnswer` where no
    feed can prove it, and `TooMuchState`."""

    def __init__(self, proofs: Proofs) -> None:
        super().__init__(Overlay(proofs.nodes), proofs.header.state_root)
        self._proofs = proofs
        self._fetches, self._ends = 0, time.monotonic() + MAX_SECONDS

    def account(self, address: bytes) -> Account | None:
        if address not in self._accounts and not self._proofs.knows_account(address):
            self._count()
            self._proofs.fetch(address)
        return super().account(address)

    def get_code(self, address: bytes) -> bytes:
        code_hash = self.get_code_hash(address)
        if code_hash not in self._codes and code_hash != EMPTY_CODE_HASH:
            self._count()
            self._codes[code_hash] = self._proofs.code(address, code_hash)
        return super().get_code(address)

    def get_storage(self, address: bytes, slot: int) -> int:
        self._need_slot(address, slot)
        return super().get_storage(address, slot)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self._need_slot(address, slot)
        super().set_storage(address, slot, value)

    def _need_slot(self, address: bytes, slot: int) -> None:
        self.account(address)
        if self._proofs.knows_account(address) and not self._proofs.knows_slot(address, slot):
            self._count()
            self._proofs.fetch(address, (slot,))

    def _count(self) -> None:
        self._fetches += 1
        if self._fetches > MAX_FETCHES or time.monotonic() > self._ends:
            raise TooMuchState(
                f"this reads more than {MAX_FETCHES} pieces of state or takes longer than "
                f"{MAX_SECONDS:g} s; ask a full node"
            )


class States:
    """Proofs of the last few headers that were asked for, bounded. Safe for several threads."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds, self._codes = feeds, CodeCache()
        self._proofs: OrderedDict[bytes, Proofs] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, header: Header) -> ProvenState:
        with self._lock:
            proofs = self._proofs.pop(header.hash(), None)
            if proofs is None or proofs.pieces > MAX_FETCHES:
                proofs = Proofs(header, self._feeds, self._codes)
            self._proofs[header.hash()] = proofs
            while len(self._proofs) > MAX_STATES:
                self._proofs.popitem(last=False)
        return ProvenState(proofs)


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
