"""The world state: accounts of six fields, their code and storage, journaled over a trie.

Reads go through to the trie; writes stay in memory until `root` puts them into the store. Every
write leaves an entry in the journal, so that `revert` can undo it, and so that the end of a
transaction knows which accounts were touched (EIP-161).
"""

from __future__ import annotations

from collections.abc import Callable

from node.spec import rlp
from node.spec.crypto import EMPTY_CODE_HASH, EMPTY_ROOT, keccak
from node.spec.trie import MissingNode, NodeStore, Trie
from node.spec.types import Account

#: A touch of this precompile survives a revert: history made it so on Ethereum, and the code
#: that Cortex descends from kept it.
RIPEMD_ADDRESS = bytes(19) + b"\3"

Undo = Callable[[], None]


class _Storage:
    """One account's slots: those of the trie, and over them what was written since."""

    def __init__(self, store: NodeStore, root: bytes) -> None:
        self._trie = Trie(store, root, secure=True)
        self._read: dict[int, int] = {}
        self.written: dict[int, int] = {}

    def get(self, slot: int) -> int:
        value = self.written.get(slot)
        return self._committed(slot) if value is None else value

    def _committed(self, slot: int) -> int:
        if slot not in self._read:
            encoded = self._trie.get(slot.to_bytes(32, "big"))
            self._read[slot] = rlp.decode_int(rlp.decode(encoded)) if encoded else 0
        return self._read[slot]

    def prove(self, slot: int) -> list[bytes]:
        return self._trie.prove(slot.to_bytes(32, "big"))

    def commit(self) -> bytes:
        for slot, value in self.written.items():
            encoded = rlp.encode(rlp.encode_int(value)) if value else b""
            self._trie.set(slot.to_bytes(32, "big"), encoded)
            self._read[slot] = value
        self.written.clear()
        return self._trie.commit()


class State:
    """The state under ``root``. Raises `MissingNode` where the store lacks a part of it."""

    def __init__(self, store: NodeStore, root: bytes = EMPTY_ROOT) -> None:
        self._store = store
        self._trie = Trie(store, root, secure=True)
        self._accounts: dict[bytes, Account | None] = {}
        self._storages: dict[bytes, _Storage] = {}
        self._codes: dict[bytes, bytes] = {EMPTY_CODE_HASH: b""}
        self._new_codes: set[bytes] = set()
        self._dirty: set[bytes] = set()
        self._journal: list[tuple[bytes, Undo | None]] = []
        self._original: dict[tuple[bytes, int], int] = {}
        self._ripemd_touched = False

    # Accounts

    def account(self, address: bytes) -> Account | None:
        """All six fields, or None where there is no such account.

        ``storage_root`` is that of the last `root`, not of writes since.
        """
        if address not in self._accounts:
            encoded = self._trie.get(address)
            self._accounts[address] = Account.decode(encoded) if encoded else None
        return self._accounts[address]

    def _fields(self, address: bytes) -> Account:
        return self.account(address) or _EMPTY

    def _write(self, address: bytes, account: Account | None) -> None:
        before = self.account(address)
        self._journal.append((address, lambda: self._restore(address, before)))
        self._restore(address, account)

    def _restore(self, address: bytes, account: Account | None) -> None:
        self._accounts[address] = account
        self._dirty.add(address)

    def exists(self, address: bytes) -> bool:
        return self.account(address) is not None

    def is_empty(self, address: bytes) -> bool:
        """No nonce, balance, code, upload or num; true also where there is no account."""
        return self._fields(address).is_empty

    def touch(self, address: bytes) -> None:
        """Mark for deletion at the end of the transaction, should it be empty then."""
        if address == RIPEMD_ADDRESS:
            self._ripemd_touched = True
        self._journal.append((address, None))

    def create_account(self, address: bytes) -> None:
        """A new account there: the balance of an old one stays, all else starts afresh."""
        before = self._storages.get(address)
        self._journal.append((address, lambda: self._restore_storage(address, before)))
        self._storages[address] = _Storage(self._store, EMPTY_ROOT)
        self._write(address, Account(balance=self.get_balance(address)))

    def _restore_storage(self, address: bytes, storage: _Storage | None) -> None:
        if storage is None:
            self._storages.pop(address, None)
        else:
            self._storages[address] = storage

    def delete_account(self, address: bytes) -> None:
        before = self._storages.pop(address, None)
        self._journal.append((address, lambda: self._restore_storage(address, before)))
        self._write(address, None)

    # Balance, nonce, code

    def get_balance(self, address: bytes) -> int:
        return self._fields(address).balance

    def set_balance(self, address: bytes, wei: int) -> None:
        if wei < 0:
            raise ValueError("a balance cannot be negative")
        self._write(address, self._fields(address).change(balance=wei))

    def add_balance(self, address: bytes, wei: int) -> None:
        """Add; nothing added is a touch, and makes the account where there is none."""
        if wei == 0 and self.exists(address):
            self.touch(address)
        else:
            if wei == 0 and address == RIPEMD_ADDRESS:
                self._ripemd_touched = True
            self.set_balance(address, self.get_balance(address) + wei)

    def subtract_balance(self, address: bytes, wei: int) -> None:
        self.set_balance(address, self.get_balance(address) - wei)

    def get_nonce(self, address: bytes) -> int:
        return self._fields(address).nonce

    def set_nonce(self, address: bytes, nonce: int) -> None:
        self._write(address, self._fields(address).change(nonce=nonce))

    def get_code_hash(self, address: bytes) -> bytes:
        """The hash of the account's code; of no code also where there is no account."""
        return self._fields(address).code_hash

    def get_code(self, address: bytes) -> bytes:
        key = self.get_code_hash(address)
        if key not in self._codes:
            code = self._store.get(key)
            if code is None:
                raise MissingNode(f"no code {key.hex()} in the store")
            self._codes[key] = code
        return self._codes[key]

    def set_code(self, address: bytes, code: bytes) -> None:
        key = keccak(code)
        if code:
            self._codes[key] = code
            self._new_codes.add(key)
        self._write(address, self._fields(address).change(code_hash=key))

    # Uploads (cortex-protocol §4)

    def get_upload(self, address: bytes) -> int:
        """Bytes still to be uploaded."""
        return self._fields(address).upload

    def set_upload(self, address: bytes, size_bytes: int) -> None:
        self._write(address, self._fields(address).change(upload=size_bytes))

    def get_num(self, address: bytes) -> int:
        """Block of the model's creation or, once it is uploaded, of its last upload."""
        return self._fields(address).num

    def set_num(self, address: bytes, number: int) -> None:
        self._write(address, self._fields(address).change(num=number))

    # Storage

    def _storage(self, address: bytes) -> _Storage:
        if address not in self._storages:
            root = self._fields(address).storage_root
            self._storages[address] = _Storage(self._store, root)
        return self._storages[address]

    def get_storage(self, address: bytes, slot: int) -> int:
        return self._storage(address).get(slot)

    def get_original_storage(self, address: bytes, slot: int) -> int:
        """The slot's value at the start of the transaction (EIP-2200)."""
        original = self._original.get((address, slot))
        return self.get_storage(address, slot) if original is None else original

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        storage = self._storage(address)
        before = storage.get(slot)
        self._original.setdefault((address, slot), before)
        if before == value:
            return
        if not self.exists(address):
            self._write(address, _EMPTY)
        self._journal.append((address, lambda: storage.written.__setitem__(slot, before)))
        storage.written[slot] = value
        self._dirty.add(address)

    # Proofs

    def prove_account(self, address: bytes) -> list[bytes]:
        """The nodes that show an account, or that there is none, root first. Like
        `prove_storage`, of the state as it was read: before any write."""
        return self._trie.prove(address)

    def prove_storage(self, address: bytes, slot: int) -> list[bytes]:
        return self._storage(address).prove(slot)

    # Journal

    def snapshot(self) -> int:
        return len(self._journal)

    def revert(self, snapshot: int) -> None:
        """Undo every write since the snapshot was taken."""
        while len(self._journal) > snapshot:
            _, undo = self._journal.pop()
            if undo is not None:
                undo()

    def begin_transaction(self) -> None:
        """Forget the journal and what storage was; nothing before can be reverted."""
        self._journal.clear()
        self._original.clear()
        self._ripemd_touched = False

    def end_transaction(self, delete_empty: bool = True) -> None:
        """Delete the empty accounts among those written or touched (EIP-161)."""
        touched = {address for address, _ in self._journal}
        if self._ripemd_touched:
            touched.add(RIPEMD_ADDRESS)
        for address in touched if delete_empty else ():
            if self.exists(address) and self.is_empty(address):
                self.delete_account(address)
        self.begin_transaction()

    def root(self) -> bytes:
        """Write everything to the store and return the state root."""
        for address in sorted(self._dirty):
            self._commit_account(address)
        self._dirty.clear()
        for key in self._new_codes:
            self._store.put(key, self._codes[key])
        self._new_codes.clear()
        self.begin_transaction()
        return self._trie.commit()

    def _commit_account(self, address: bytes) -> None:
        account = self.account(address)
        if account is None:
            self._trie.delete(address)
            return
        storage = self._storages.get(address)
        if storage is not None:
            account = account.change(storage_root=storage.commit())
            self._accounts[address] = account
        self._trie.set(address, account.encode())


_EMPTY = Account()
