"""Chains to be imported, mined once and kept in the system's folder of temporary files.

Each is of farmnet's rules on graphs of 2^10 edges. ``empty`` has no transactions; ``transfers``
has ten a block, between a thousand accounts; of the ten in ``infer`` one is a call of INFER, and
one of INFERARRAY with an input that no other call has.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.node import BLOCK_SECONDS, CHAIN, KEY, Clock, open_node, solve
from node.models.input_file import write_input
from node.models.metadata import describe_input, describe_model
from node.models.storage import Storage
from node.models.storage.directory import DirectoryStorage
from node.spec.crypto import keccak, private_address
from node.spec.transition import created_address
from node.spec.types import Block, Transaction
from tests.node.workshop import dense_model

VERSION = 2
TRANSFERS = 10
ACCOUNTS = 1000
SLOT = 5
INPUT = np.array([1, -2, 3, -4, 5, -6], np.int8)
LENGTH_BYTES = 4
#: Here no disk is waited for while a chain is made.
MEMORY = Path("/dev/shm")
#: Of blocks that make ready what INFER needs.
PREPARATION = 5


@dataclass(frozen=True)
class Made:
    """A chain in a file: each block's length (four bytes) and RLP, the first after genesis."""

    kind: str
    count: int
    transactions: int
    folder: Path

    def read(self) -> Iterator[bytes]:
        with (self.folder / "blocks").open("rb") as file:
            while length := file.read(LENGTH_BYTES):
                yield file.read(int.from_bytes(length, "big"))

    def copy_models(self, home: Path) -> None:
        shutil.copytree(self.folder / "models", home / "models", dirs_exist_ok=True)


def find_chain(kind: str, count: int) -> Made:
    """The chain of that many blocks; made now where it is not kept yet."""
    folder = Path(tempfile.gettempdir()) / f"farmctl-blocks-{VERSION}-{kind}-{count}"
    done = folder / "transactions"
    if not done.exists():
        print(f"mining {count} blocks ({kind}) into {folder}", file=sys.stderr, flush=True)
        make_chain(kind, count, folder)
    return Made(kind, count, int(done.read_text()), folder)


def make_chain(kind: str, count: int, folder: Path) -> None:
    """The folder is there whole or not at all, whoever else makes it meanwhile."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home:
        made = Maker(Path(home)).make(kind, count)
        fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
        shutil.copytree(Path(home) / "models", fresh / "models")
        shutil.copy(Path(home) / "blocks", fresh)
    (fresh / "transactions").write_text(str(made))
    try:
        fresh.rename(folder)
    except OSError:  # another was quicker, or one that was broken off lies there
        if not (folder / "transactions").exists():
            shutil.rmtree(folder)
            fresh.rename(folder)
        shutil.rmtree(fresh, ignore_errors=True)


class Maker:
    def __init__(self, folder: Path) -> None:
        self._clock = Clock(time.time() - 10_000_000)
        self._folder = folder
        self._node = open_node(folder, self._clock)
        self._nonce = 0
        self.transactions = 0

    def make(self, kind: str, count: int) -> int:
        """Write the chain; the number of its transactions."""
        try:
            with (self._folder / "blocks").open("wb") as file:
                for block in self._blocks(kind, count):
                    raw = block.encode()
                    file.write(len(raw).to_bytes(LENGTH_BYTES, "big") + raw)
        finally:
            self._node.close()
        return self.transactions

    def _blocks(self, kind: str, count: int) -> Iterator[Block]:
        if kind == "infer":
            yield from self._prepare()
            count -= PREPARATION
        for _ in range(count):
            yield self._mine(list(self._fill(kind)))

    def _fill(self, kind: str) -> Iterator[Transaction]:
        if kind == "empty":
            return
        for _ in range(TRANSFERS - 2 * (kind == "infer")):
            account = (1 + self._nonce % ACCOUNTS).to_bytes(20, "big")
            yield self._sign(account, 21_000, value=1)
        if kind == "infer":
            yield self._sign(self._single, 200_000)
            yield self._sign(self._array, 1_200_000, self._nonce.to_bytes(6, "big").ljust(32))

    def _sign(self, to: bytes | None, gas: int, data: bytes = b"", value: int = 0) -> Transaction:
        self._nonce += 1
        blank = Transaction(self._nonce - 1, 1, gas, to, value, data)
        return blank.sign(KEY, CHAIN.chain_id)

    def _create(self, code: bytes) -> tuple[bytes, Transaction]:
        address = created_address(private_address(KEY), self._nonce)
        return address, self._sign(None, 800_000, code)

    def _prepare(self) -> Iterator[Block]:
        """Publish a model and an input, and the contracts that use them."""
        parts = dense_model()
        store_files(self._node.loader.storage, parts)
        meta = describe_model(*parts, author=bytes(19) + b"\1", gas=0)
        model, create_model = self._create(meta.encode())
        source, create_input = self._create(describe_input(write_input(INPUT)).encode())
        yield self._mine([create_model, create_input])
        yield self._mine([])
        yield self._mine([self._sign(model, 400_000), self._sign(source, 400_000)])
        self._single, create_single = self._create(single_contract(model, source))
        self._array, create_array = self._create(array_contract(model))
        yield self._mine([create_single, create_array])
        yield self._mine([])

    def _mine(self, transactions: list[Transaction]) -> Block:
        node, head = self._node, self._node.head()
        self._clock.now += BLOCK_SECONDS
        state = node.state_at(head)
        for transaction in transactions:
            node.mempool.add(transaction, state, head.gas_limit, head.number + 1)
        package = node.refresh_work()
        if len(package.block.transactions) != len(transactions):
            raise RuntimeError(f"block {package.height} does not take its transactions")
        self.transactions += len(transactions)
        return node.submit(package.seal_hash, *solve(package.block))


def store_files(storage: Storage, model: tuple[bytes, bytes]) -> None:
    assert isinstance(storage, DirectoryStorage)
    storage.put_model(*model)
    storage.put_input(write_input(INPUT))


ONE_WORD_ARRAY = bytes.fromhex("60016000526000602052")  # at 0 in memory
KEEP = bytes.fromhex("600155602051600055")  # slot 1 = status, slot 0 = the result's word


def single_contract(model: bytes, source: bytes) -> bytes:
    """Creation code of a contract that runs INFER."""
    operands = bytes.fromhex("600073") + source + b"\x73" + model
    return creation(ONE_WORD_ARRAY + operands + b"\xc0" + KEEP)


def array_contract(model: bytes) -> bytes:
    """Creation code of a contract that runs INFERARRAY on its call's first word."""
    where = keccak(SLOT.to_bytes(32, "big"))
    store = bytes([0x60, 1, 0x60, SLOT, 0x55]) + bytes.fromhex("6000357f") + where + b"\x55"
    operands = bytes([0x60, 0, 0x60, SLOT, 0x73]) + model
    return creation(ONE_WORD_ARRAY + store + operands + b"\xc1" + KEEP)


def creation(runtime: bytes) -> bytes:
    size = len(runtime)
    return bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + runtime
