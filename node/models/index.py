"""Every model and input at the head by address, in memory (whitepaper 3.5).

The index answers what would otherwise walk the state: a look-up costs a fraction of a
microsecond. It is built from the state at the start and follows each new head, to other branches
too. Executions use it by a `view`, which speaks only while the index stands at their parent.

Metadata that a contract created is not in it unless a transaction named its address: such a model
works, and is looked up in the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from node.spec.chain import Chain
from node.spec.meta import InputMeta, ModelMeta, decode_meta, is_input, is_model
from node.spec.rlp import RlpError
from node.spec.state import State
from node.spec.transition import created_address
from node.spec.types import Block, Header, Transaction
from node.spec.vm.context import Usable

#: Accounts that are read with one state, which keeps them all until it is dropped.
SLICE = 1000


@dataclass(frozen=True, slots=True)
class Registered:
    """A model's or an input's account at the head."""

    address: bytes
    meta: ModelMeta | InputMeta
    upload: int
    """Bytes still to be uploaded."""
    number: int
    """Block of its creation, then of the end of its upload; 0: it can never be used."""

    def ripe_block(self, chain: Chain) -> int | None:
        """The first block that may use it; None while that is not known."""
        if self.upload or not self.number:
            return None
        return self.number + chain.mature_blocks


class ModelIndex:
    """One thread changes it (the importer's), any may ask.

    ``open_state`` gives the state after a block; ``list_addresses`` every address at which a model
    or input was ever created.
    """

    def __init__(
        self,
        chain: Chain,
        open_state: Callable[[Header], State],
        list_addresses: Callable[[], Sequence[bytes]],
    ) -> None:
        self._chain = chain
        self._open_state = open_state
        self._list_addresses = list_addresses
        self._entries: dict[bytes, Registered] = {}
        self._head = b""
        self._changes = 0
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def changes(self) -> int:
        """Grows with each change."""
        return self._changes

    def find(self, address: bytes) -> Registered | None:
        """What the index has at an address (20 bytes)."""
        return self._entries.get(address)

    def entries(self) -> list[Registered]:
        """Every model and input, in no order."""
        return list(self._entries.values())

    def models(self) -> Iterator[tuple[Registered, ModelMeta]]:
        """Every model with its metadata, in no order."""
        for entry in list(self._entries.values()):
            if isinstance(entry.meta, ModelMeta):
                yield entry, entry.meta

    def build(self, head: Header) -> None:
        """Read everything anew."""
        self._changes += 1
        self._entries = {}
        addresses = self._list_addresses()
        for start in range(0, len(addresses), SLICE):
            self._read_all(self._open_state(head), addresses[start : start + SLICE])
        self._head = head.hash()

    def follow(self, head: Header, adopted: Iterable[Block], abandoned: Iterable[Block]) -> None:
        """Come to ``head``: the blocks that became canonical and those that no longer are, both
        ascending. From any other head than these began at, everything is read anew."""
        self._changes += 1
        changed: set[bytes] = set()
        before = b""
        for block in adopted:
            before = before or block.header.parent_hash
            changed.update(self._touched(block))
        for block in abandoned:
            before = block.hash()
            changed.update(self._touched(block))
        if before != self._head:
            self.build(head)
            return
        self._read_all(self._open_state(head), changed)
        self._head = head.hash()

    def view(self, parent: Header, number: int) -> Usable:
        """What block ``number`` on ``parent`` may use; empty once the index has moved on.

        Sound within the block: who may be used at its start can be used up to its end. An upload
        begins only with the registration, and the network registers no metadata again in which
        a block number stands; code of this kind cannot destroy itself.
        """
        stands = parent.hash() == self._head
        changes = self._changes
        last = number - self._chain.mature_blocks
        entries = self._entries

        def find(address: bytes) -> ModelMeta | InputMeta | None:
            entry = entries.get(address)
            if entry is None or entry.upload or not 0 < entry.number <= last:
                return None
            is_current = stands and self._changes == changes and entry.meta.block_num
            return entry.meta if is_current else None

        return find

    def _touched(self, block: Block) -> Iterator[bytes]:
        """Addresses whose entry may have changed. What alone changes one, an upload, moves no
        coins."""
        for transaction in block.transactions:
            to = transaction.to
            if to is not None:
                if to in self._entries or not transaction.value:
                    yield to
            elif is_model(transaction.data) or is_input(transaction.data):
                yield self._created(transaction)

    def _created(self, transaction: Transaction) -> bytes:
        return created_address(transaction.sender(self._chain), transaction.nonce)

    def _read_all(self, state: State, addresses: Iterable[bytes]) -> None:
        for address in addresses:
            entry = read_entry(state, address)
            if entry is None:
                self._entries.pop(address, None)
            else:
                self._entries[address] = replace(entry, meta=self._share(entry.meta))

    def _share(self, meta: ModelMeta | InputMeta) -> ModelMeta | InputMeta:
        """The same with one copy in memory of the shapes that many have."""
        if isinstance(meta, InputMeta):
            return replace(meta, shape=self._one(meta.shape))
        inputs, outputs = self._one(meta.input_shape), self._one(meta.output_shape)
        return replace(meta, input_shape=inputs, output_shape=outputs)

    def _one(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self._shapes.setdefault(shape, shape)


def read_entry(state: State, address: bytes) -> Registered | None:
    """What the state has at an address; None where that is no model and no input."""
    code = state.get_code(address)
    if not (is_model(code) or is_input(code)):
        return None
    try:
        meta = decode_meta(code)
    except RlpError:
        return None
    return Registered(address, meta, state.get_upload(address), state.get_num(address))
