"""A state in a file, so that a node can begin at a block without executing all before it.

The file holds RLP items one after another: a head with the network and the block, then tagged
items: headers and blocks that the rules look back at, addresses of models, calls of models, and
every node and code of the state.

What is **checked** when it is read: the block's hash against a checkpoint (of the chain's file, or
given by who starts the node), the seals and links of all headers, blocks and receipts against
their headers, and the state, node by node and in full, against the block's state root. What is
**trusted** besides that hash: the total difficulty, the counts of calls, and that no model's
address was left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from node.blockfile import Report, opened, read_list, writing
from node.errors import BlockFileError, StatePruned, StoreDamaged, StoreError
from node.execution import HASH_GENERATIONS
from node.spec import rlp
from node.spec.chain import Chain
from node.spec.crypto import keccak
from node.spec.header import UNCLE_GENERATIONS
from node.spec.meta import is_input, is_model
from node.spec.seal import CycleVerifier, is_sealed
from node.spec.state import State
from node.spec.transition import transactions_root
from node.spec.trie import MissingNode, ordered_root
from node.spec.types import Block, Header, Receipt, uncles_hash
from node.store import ChainStore
from node.store.adoption import Beginning, write_beginning
from node.store.seen import Seen
from node.store.walk import Walk

MAGIC, VERSION = b"farmctl-state", 1
HEADER, BLOCK, META, CALLS, NODE = b"h", b"b", b"m", b"c", b"n"
#: Blocks whose uncles a later block may repeat.
WHOLE_BLOCKS = UNCLE_GENERATIONS + 1
#: Nodes are written in groups of so many.
GROUP = 5_000
MAX_HEADERS = HASH_GENERATIONS
MAX_METAS = 1_000_000


@dataclass(frozen=True)
class SnapshotHead:
    """What a file says of itself."""

    chain: str
    genesis: bytes
    number: int
    block_hash: bytes
    total_difficulty: int

    def encode(self) -> bytes:
        numbers = (rlp.encode_int(n) for n in (VERSION, self.number, self.total_difficulty))
        return rlp.encode([MAGIC, self.chain.encode(), self.genesis, self.block_hash, *numbers])

    @classmethod
    def decode(cls, raw: bytes) -> SnapshotHead:
        item = rlp.decode_list(rlp.decode(raw))
        if not item or item[0] != MAGIC:
            raise rlp.RlpError("this is no file of a state")
        _, name, genesis, block_hash, version, number, total = rlp.decode_list(item, 7)
        if rlp.decode_int(version) != VERSION:
            raise rlp.RlpError(f"version {rlp.decode_int(version)} of the form is not known")
        return cls(
            rlp.decode_bytes(name).decode("ascii", "replace"),
            rlp.decode_bytes(genesis, 32),
            rlp.decode_int(number, 8),
            rlp.decode_bytes(block_hash, 32),
            rlp.decode_int(total),
        )


@dataclass
class _Contents:
    """What was read so far, but for the nodes."""

    headers: list[Header] = field(default_factory=list)
    blocks: list[tuple[Block, tuple[Receipt, ...]]] = field(default_factory=list)
    metas: list[bytes] = field(default_factory=list)
    calls: dict[bytes, int] = field(default_factory=dict)


def export_state(
    store: ChainStore, path: Path, number: int, report: Report = lambda count: None
) -> int:
    """Write the state after a canonical block; return the number of its nodes. Raises
    `StatePruned`, `StoreError`."""
    block_hash = store.canonical_hash(number)
    if block_hash is None or number == 0:
        raise StoreError(f"block {number} is not kept here, or is the genesis; choose another")
    if number < store.oldest_state():
        raise StatePruned(f"states are kept from block {store.oldest_state()} on; choose one")
    with writing(path) as file:
        for item in _before_nodes(store, number, block_hash):
            file.write(item)
        root = store.need_block(block_hash).header.state_root
        return _export_nodes(store, root, file, report)


def _before_nodes(store: ChainStore, number: int, block_hash: bytes) -> Iterator[bytes]:
    name = (store.record("meta", b"chain") or b"").decode()
    total = store.total_difficulty(block_hash) or 0
    genesis = store.canonical_hash(0) or b""
    yield SnapshotHead(name, genesis, number, block_hash, total).encode()
    headers = _headers_to(store, block_hash)
    for header in headers[:-WHOLE_BLOCKS]:
        yield rlp.encode([HEADER, header.items()])
    for header in headers[-WHOLE_BLOCKS:]:
        block = store.need_block(header.hash())
        receipts = [r.encode() for r in store.receipts(header.hash())]
        yield rlp.encode([BLOCK, block.encode(), receipts])
    for address in store.meta_addresses():
        yield rlp.encode([META, address])
    for model, calls in _call_totals(store, number).items():
        yield rlp.encode([CALLS, model, rlp.encode_int(calls)])


def _headers_to(store: ChainStore, block_hash: bytes) -> list[Header]:
    """A block's header and those before it that the rules look back at, ascending; genesis is
    everybody's own."""
    found: list[Header] = []
    header = store.header(block_hash)
    while header is not None and header.number and len(found) < MAX_HEADERS:
        found.append(header)
        header = store.header(header.parent_hash)
    return found[::-1]


def _call_totals(store: ChainStore, number: int) -> dict[bytes, int]:
    """As they were after a block."""
    totals = {m: int.from_bytes(n, "big") for m, n in store.records("call_totals")}
    for later in range(number + 1, store.head_header().number + 1):
        for model, calls in store.calls(store.canonical_hash(later) or b"").items():
            totals[model] -= calls
    return {model: calls for model, calls in totals.items() if calls}


def _export_nodes(store: ChainStore, root: bytes, file: BinaryIO, report: Report) -> int:
    count = 0

    def write(raw: bytes) -> None:
        nonlocal count
        count += 1
        file.write(rlp.encode([NODE, raw]))

    try:
        _walk(root, store.get, write, lambda: report(count))
    except StoreDamaged as error:
        raise StatePruned(f"the state went while it was written ({error}); try again") from error
    return count


def _walk(
    root: bytes,
    read: Callable[[bytes], bytes | None],
    use: Callable[[bytes], object],
    after_slice: Callable[[], None],
) -> None:
    walk = Walk()
    walk.begin(root)
    with TemporaryDirectory(prefix="farmctl-") as folder:
        seen = Seen(Path(folder) / "seen")
        try:
            while not walk.is_over:
                seen.advance(walk, read, use=use)
                after_slice()
        finally:
            seen.close()


def import_state(
    store: ChainStore,
    chain: Chain,
    path: Path,
    verify_cycle: CycleVerifier,
    trusted: bytes | None = None,
    report: Report = lambda count: None,
) -> SnapshotHead:
    """Begin the chain of a new store at a file's block. ``trusted`` is that block's hash, where
    the chain's file has no checkpoint for it. Raises `BlockFileError` (the store is then as new
    as before) or `StoreError`."""
    if store.head_header().number:
        raise StoreError("there are blocks here already; begin in a home of its own")
    with opened(path) as file:
        try:
            head = SnapshotHead.decode(read_list(file) or b"\xc0")
            _check_head(head, store, chain, trusted)
            contents = _read(file, store, report)
            _check_contents(head, contents, chain, verify_cycle)
            root = contents.blocks[-1][0].header.state_root
            _walk(root, store.get, lambda raw: None, lambda: None)
            _check_metas(store, root, contents.metas)
        except EOFError as error:
            raise BlockFileError(f"{path} ends too early; fetch it again") from error
        except (rlp.RlpError, OSError, zlib.error, StoreDamaged, MissingNode) as error:
            raise BlockFileError(f"{path} holds no whole state: {error}") from error
    beginning = Beginning(
        contents.headers, contents.blocks, head.total_difficulty, contents.calls, contents.metas
    )
    store.change(lambda records: write_beginning(records, beginning))
    return head


def _check_head(head: SnapshotHead, store: ChainStore, chain: Chain, trusted: bytes | None) -> None:
    if head.genesis != store.canonical_hash(0):
        raise BlockFileError(f"the state is of the chain {head.chain}, not of {chain.name}")
    expected = chain.checkpoints.get(head.number, trusted)
    if expected is None:
        raise BlockFileError(
            f"the chain {chain.name} has no checkpoint at block {head.number}: name the hash that "
            f"you trust it to have (the file says {head.block_hash.hex()})"
        )
    if expected != head.block_hash:
        raise BlockFileError(
            f"block {head.number} of the file is {head.block_hash.hex()}, not {expected.hex()}"
        )


def _read(file: BinaryIO, store: ChainStore, report: Report) -> _Contents:
    contents = _Contents()
    group: dict[bytes, bytes] = {}
    count = 0
    while (raw := read_list(file)) is not None:
        tag, *fields = rlp.decode_list(rlp.decode(raw))
        if tag == NODE:
            node = rlp.decode_bytes(fields[0])
            group[keccak(node)] = node
            count += 1
        else:
            _keep(contents, rlp.decode_bytes(tag), fields)
        if len(group) >= GROUP:
            store.put_all(group)
            group.clear()
            report(count)
    store.put_all(group)
    return contents


def _keep(contents: _Contents, tag: bytes, fields: list[rlp.Decoded]) -> None:
    if tag == HEADER and len(contents.headers) < MAX_HEADERS:
        contents.headers.append(Header.from_items(fields[0]))
    elif tag == BLOCK and len(contents.blocks) < WHOLE_BLOCKS:
        receipts = (Receipt.decode(rlp.decode_bytes(r)) for r in rlp.decode_list(fields[1]))
        contents.blocks.append((Block.decode(rlp.decode_bytes(fields[0])), tuple(receipts)))
    elif tag == META and len(contents.metas) < MAX_METAS:
        contents.metas.append(rlp.decode_bytes(fields[0], 20))
    elif tag == CALLS and len(contents.calls) < MAX_METAS:
        contents.calls[rlp.decode_bytes(fields[0], 20)] = rlp.decode_int(fields[1], 8)
    else:
        raise rlp.RlpError("an item of no known kind, or too many of one")


def _check_contents(
    head: SnapshotHead, contents: _Contents, chain: Chain, verify_cycle: CycleVerifier
) -> None:
    """Links, seals, and all that headers commit to."""
    headers = [*contents.headers, *(block.header for block, _ in contents.blocks)]
    if not contents.blocks or headers[-1].hash() != head.block_hash:
        raise rlp.RlpError("its last block is another than it says")
    if headers[-1].number != head.number or headers[0].number > max(
        1, head.number + 1 - MAX_HEADERS
    ):
        raise rlp.RlpError("blocks that the rules look back at are not in it")
    for parent, header in pairwise(headers):
        if header.parent_hash != parent.hash() or header.number != parent.number + 1:
            raise rlp.RlpError(f"block {header.number} does not follow the one before")
    for header in headers:
        if not is_sealed(chain, header, verify_cycle):
            raise rlp.RlpError(f"the seal of block {header.number} proves nothing")
    for block, receipts in contents.blocks:
        if not _is_whole(block, receipts):
            raise rlp.RlpError(f"block {block.header.number} is not what its header commits to")


def _is_whole(block: Block, receipts: tuple[Receipt, ...]) -> bool:
    return (
        transactions_root(block.transactions) == block.header.transactions_root
        and uncles_hash(block.uncles) == block.header.uncles_hash
        and ordered_root([r.encode() for r in receipts]) == block.header.receipts_root
    )


def _check_metas(store: ChainStore, root: bytes, metas: list[bytes]) -> None:
    state = State(store, root)
    for address in metas:
        code = state.get_code(address)
        if not is_model(code) and not is_input(code):
            raise rlp.RlpError(f"there is no model or input at {address.hex()}")
