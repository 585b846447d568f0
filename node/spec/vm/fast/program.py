"""A contract's code, the traces compiled from it, and where it has been."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sha3 import keccak_256

from node.spec.vm.context import Message
from node.spec.vm.control import PUSH1, PUSH32, jump_destinations
from node.spec.vm.errors import InvalidJump, OutOfGas
from node.spec.vm.fast.tracing import JUMPI, MAX_OPERATIONS, Code, write_trace
from node.spec.vm.frame import Frame
from node.spec.vm.interpreter import interpret
from node.spec.vm.opcodes import operations
from node.spec.vm.schedule import Schedule

#: A position is compiled when it has been entered this often.
PATIENCE = 12
#: An operation is compiled (in about 20 microseconds) for so many entries that were interpreted (in
#: 2 or more): code made to waste a node's time can waste but a few times what it pays for.
ENTRIES_PER_OPERATION = 2
#: Code of which programs are kept, twice over; and characters of Python that each byte may become.
MAX_CODE_BYTES = 2**19
CHARACTERS_PER_BYTE = 64
#: What a program takes however short its code is, as code.
BASE_BYTES = 1_024

#: Runs a path. True: go on at the frame's position. False: only the readable interpreter can do
#: what comes there. A message: the frame calls.
Trace = Callable[[Frame], Message | bool]


class Program:
    """``patience`` 0 compiles everything at once, whether it has run before or not."""

    def __init__(self, code: bytes, schedule: Schedule, patience: int) -> None:
        self._code = Code(code, operations(schedule), jump_destinations(code), self._is_warm)
        self._names = _names(schedule)
        self._patience = patience
        self._starts = self._code.targets | _after_branches(code)
        self._entered: dict[int, int] = {}
        self._traces: dict[int, Trace] = {}
        self._characters_left = CHARACTERS_PER_BYTE * (len(code) + BASE_BYTES)
        self._credit = 0
        """Entries that no compiled operation stands for yet."""
        self._credit_needed = 0

    def run(self, frame: Frame) -> Message | None:
        """Run until the frame calls (its message is returned) or ends (None)."""
        size, find = len(self._code.code), self._traces.get
        while frame.pc < size:
            trace = find(frame.pc) or self._enter(frame.pc)
            step = trace(frame) if trace else False
            if step is True:
                continue
            message = interpret(frame, self._starts) if step is False else step
            if message is not None:
                return message
        return None

    def _enter(self, pc: int) -> Trace | None:
        """Note that this position is reached; its trace once that has happened often enough."""
        count = self._entered[pc] = self._entered.get(pc, 0) + 1
        self._credit += 1
        if count <= self._patience or self._characters_left <= 0:
            return None
        return self._compile(pc, MAX_OPERATIONS) if not self._patience else self._try(pc)

    def _try(self, pc: int) -> Trace | None:
        """Compile as much as has been earned; where that is too little, wait for twice as much."""
        if self._credit < self._credit_needed:
            return None
        most = min(MAX_OPERATIONS, self._credit // ENTRIES_PER_OPERATION)
        trace = self._compile(pc, most)
        if trace is None:
            self._credit_needed = 2 * self._credit
        return trace

    def _compile(self, pc: int, most: int) -> Trace | None:
        """The trace from a position; None if it needs more operations, and may have more."""
        draft = write_trace(self._code, pc, most)
        if draft.is_cut and most < MAX_OPERATIONS:
            return None
        self._credit -= ENTRIES_PER_OPERATION * draft.operations
        self._credit_needed = 0
        self._characters_left -= len(draft.source)
        scope: dict[str, Callable[[frozenset[int]], Trace]] = {}
        exec(compile(draft.source, "<trace>", "exec"), self._names, scope)
        trace = self._traces[pc] = scope["make"](self._code.targets)
        return trace

    def _is_warm(self, pc: int) -> bool:
        return not self._patience or pc in self._entered


class Programs:
    """The programs used last, bounded by the bytes of their code.

    When the young are full they become the old, and the old that nobody used are forgotten. Several
    threads may ask: a program that gets lost between them is only made again.
    """

    def __init__(self, limit_bytes: int = MAX_CODE_BYTES) -> None:
        self._limit = limit_bytes
        self._young: dict[tuple[bytes, Schedule, int], Program] = {}
        self._old: dict[tuple[bytes, Schedule, int], Program] = {}
        self._young_bytes = 0

    def find(self, code: bytes, schedule: Schedule, patience: int = PATIENCE) -> Program:
        key = code, schedule, patience
        return self._young.get(key) or self._renew(key)

    def _renew(self, key: tuple[bytes, Schedule, int]) -> Program:
        program = self._old.get(key) or Program(*key)
        size = len(key[0]) + BASE_BYTES
        if self._young_bytes + size > self._limit:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young_bytes += size
        self._young[key] = program
        return program


find_program = Programs().find


@lru_cache(maxsize=64)
def _names(schedule: Schedule) -> dict[str, object]:
    """What a trace refers to by name; the functions of the operations among it."""
    functions = {
        f"op_{opcode:02x}": operation.execute
        for opcode, operation in enumerate(operations(schedule))
        if operation is not None
    }
    return {**functions, "keccak_256": keccak_256, "InvalidJump": InvalidJump, "OutOfGas": OutOfGas}


def _after_branches(code: bytes) -> frozenset[int]:
    """Where code goes on when a JUMPI does not jump."""
    found, pc = [], 0
    while pc < len(code):
        opcode = code[pc]
        pc += opcode - PUSH1 + 2 if PUSH1 <= opcode <= PUSH32 else 1
        if opcode == JUMPI:
            found.append(pc)
    return frozenset(found)
