"""A bench for the machine: accounts with code, a block, inference with scripted answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from node.spec.chain import Chain, Genesis
from node.spec.state import State
from node.spec.trie import MemoryStore
from node.spec.vm import BlockContext, Message, Outcome, TransactionContext, execute, fast
from node.spec.vm.frame import Interpret

_GENESIS = Genesis(nonce=bytes(8), extra=b"", difficulty=1, gas_limit=8_000_000, supply=0, alloc={})
CHAIN = Chain(name="bench", chain_id=7, network_id=7, genesis=_GENESIS)
CALLER, CONTRACT = b"\xca" * 20, b"\xc0" * 20


@dataclass
class Models:
    """Inference that answers ``result`` or raises ``failure``; it notes what it was given."""

    result: bytes = b"\1\2\3"
    operation_count: int = 40_000
    failure: Exception | None = None
    seen: list[bytes] = field(default_factory=list)

    def operations(self, model: bytes, raw_size: int) -> int:
        return self.operation_count

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        return b"input " + infohash

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        self.seen.append(data)
        if self.failure is not None:
            raise self.failure
        return self.result


@dataclass
class Bench:
    number: int = 1_000
    chain: Chain = CHAIN
    models: Models = field(default_factory=Models)
    state: State = field(default_factory=lambda: State(MemoryStore()))
    interpret: Interpret = fast.interpret

    def put(self, code: bytes | str, address: bytes = CONTRACT) -> bytes:
        self.state.set_code(address, bytes.fromhex(code) if isinstance(code, str) else code)
        self.state.begin_transaction()
        return address

    def run(self, code: bytes | str = "", *, gas: int = 1_000_000, **changes: object) -> Outcome:
        """Put code into the contract and call it."""
        if code:
            self.put(code)
        message = Message(CALLER, CONTRACT, 0, b"", gas)
        return self.send(replace(message, **changes))

    def send(self, message: Message) -> Outcome:
        block = BlockContext(
            chain=self.chain,
            number=self.number,
            timestamp=1_700_000_000,
            coinbase=b"\xbb" * 20,
            difficulty=5,
            gas_limit=8_000_000,
            block_hash=lambda number: number.to_bytes(32, "big"),
        )
        transaction = TransactionContext(CALLER, 3)
        return execute(self.state, block, transaction, message, self.models, self.interpret)


def push(number: int, size: int = 0) -> bytes:
    """PUSHn of a number."""
    size = size or max(1, (number.bit_length() + 7) // 8)
    return bytes((0x5F + size,)) + number.to_bytes(size, "big")


def answer(code: bytes) -> bytes:
    """Code that returns the word which ``code`` leaves on the stack."""
    return code + bytes.fromhex("60005260206000f3")
