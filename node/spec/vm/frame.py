"""A frame: one running call, its stack, memory and gas, and what the whole execution shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from node.spec.state import State
from node.spec.types import Log
from node.spec.vm.context import BlockContext, Infer, Message, TransactionContext
from node.spec.vm.errors import OutOfGas, VmError, WriteProtection
from node.spec.vm.schedule import Schedule


@dataclass
class Machine:
    """What all frames of an execution share; `mark` and `undo` bracket a frame's effects."""

    state: State
    block: BlockContext
    transaction: TransactionContext
    infer: Infer
    schedule: Schedule
    interpret: Interpret
    logs: list[Log] = field(default_factory=list)
    deleted: dict[bytes, None] = field(default_factory=dict)
    """Accounts that destroyed themselves, in that order."""
    refund: int = 0
    author_gas: dict[bytes, int] = field(default_factory=dict)
    """Gas asked by the authors of the models used; failed frames' included."""

    def mark(self) -> tuple[int, int, int, int]:
        return self.state.snapshot(), len(self.logs), len(self.deleted), self.refund

    def undo(self, mark: tuple[int, int, int, int]) -> None:
        snapshot, logs, deleted, refund = mark
        self.state.revert(snapshot)
        del self.logs[logs:]
        for address in list(self.deleted)[deleted:]:
            del self.deleted[address]
        self.refund = refund


class Frame:
    """One running call. ``address`` is the account whose storage and balance it has."""

    __slots__ = (
        "address",
        "code",
        "data",
        "error",
        "gas",
        "machine",
        "mark",
        "memory",
        "message",
        "output",
        "pc",
        "return_area",
        "return_data",
        "stack",
    )

    def __init__(
        self,
        machine: Machine,
        message: Message,
        address: bytes,
        code: bytes,
        mark: tuple[int, int, int, int],
    ) -> None:
        self.machine = machine
        self.message = message
        self.address = address
        self.code = code
        self.mark = mark
        self.data = message.data if message.to is not None else b""
        self.gas = message.gas
        self.pc = 0
        self.stack: list[int] = []
        self.memory = bytearray()
        self.return_data = b""
        self.return_area: tuple[int, int] | None = None
        """Where the result of the call under way goes: offset and size; None for a creation."""
        self.output = b""
        self.error: VmError | None = None

    def charge(self, gas: int) -> None:
        """Take ``gas``; raises `OutOfGas`."""
        if gas > self.gas:
            raise OutOfGas
        self.gas -= gas

    def extend_memory(self, *areas: tuple[int, int]) -> None:
        """Pay for the memory up to the end of each (offset, size), then allot it."""
        cost, end = self.memory_cost(*areas)
        self.charge(cost)
        self.allot_memory(end)

    def memory_cost(self, *areas: tuple[int, int]) -> tuple[int, int]:
        """Gas for memory to hold the areas, and the bytes that it will then have."""
        words = held = len(self.memory) >> 5
        for offset, size in areas:
            if size:
                words = max(words, (offset + size + 31) >> 5)
        if words == held:
            return 0, words << 5
        return _memory_price(words) - _memory_price(held), words << 5

    def allot_memory(self, end: int) -> None:
        if end > len(self.memory):
            self.memory.extend(bytes(end - len(self.memory)))

    def read_memory(self, offset: int, size: int) -> bytes:
        """Bytes of memory that has been paid for."""
        return bytes(self.memory[offset : offset + size]) if size else b""

    def stop(self, output: bytes = b"") -> None:
        """End the frame after this operation."""
        self.output = output
        self.pc = len(self.code)

    def refuse_static(self) -> None:
        """Raise `WriteProtection` where the state may not be changed."""
        if self.message.is_static:
            raise WriteProtection


#: Runs a frame until it calls (its message is returned) or ends (None); raises `VmError`.
Interpret = Callable[[Frame], Message | None]


def _memory_price(words: int) -> int:
    return 3 * words + words * words // 512


def pad_slice(data: bytes, offset: int, size: int) -> bytes:
    """``size`` bytes of ``data`` from ``offset``, zeros beyond its end."""
    return data[offset : offset + size].ljust(size, b"\0") if offset < len(data) else bytes(size)


def word_count(size: int) -> int:
    return (size + 31) >> 5


def to_address(word: int) -> bytes:
    """The low 20 bytes of a stack item."""
    return (word & (2**160 - 1)).to_bytes(20, "big")
