"""Writing a path through a contract's code as one Python function.

Gas: a stretch of operations that can only fail for want of gas pays at its beginning. Where that
is too much, the trace ends there with nothing done, and the readable interpreter finds the
operation at which the gas runs out. A price that depends on operands is taken where it arises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from node.spec.vm.control import JUMPDEST, PUSH1, PUSH32
from node.spec.vm.fast import forms
from node.spec.vm.fast.script import Script, Stretch
from node.spec.vm.fast.symbols import Bounds, Condition, Item, Stack, entry_name, text
from node.spec.vm.frame import word_count
from node.spec.vm.opcodes import Operation
from node.spec.vm.schedule import KECCAK_WORD_GAS, STACK_LIMIT

#: Operations in one trace, over all its branches, and branches within branches.
MAX_OPERATIONS = 600
MAX_BRANCH_DEPTH = 12
#: Offsets and sizes up to this are written as numbers.
MAX_CONSTANT_BYTES = 2**20


@dataclass(frozen=True)
class Code:
    """A contract's code as a trace is written from it."""

    code: bytes
    table: tuple[Operation | None, ...]
    targets: frozenset[int]
    """Positions of JUMPDEST."""
    is_warm: Callable[[int], bool]
    """Whether a path to this position is worth following."""


@dataclass
class Path:
    """Where writing has come to."""

    pc: int
    stack: Stack
    margin: str
    passed: frozenset[int]
    """JUMPDESTs on this path: it does not come there again."""
    stretch: Stretch
    memory: int = 0
    """Bytes that memory is known to have."""


def write_trace(code: Code, head: int) -> str:
    """Python source of ``make(targets)``, which returns the trace from position ``head``."""
    first = TraceWriter(code, head)
    if not first.changed:
        return first.source()
    # A loop assigns to entry items: wherever it is left they have to be written back.
    return TraceWriter(code, head, frozenset(first.changed)).source()


class TraceWriter:
    def __init__(self, code: Code, head: int, loop_items: frozenset[int] = frozenset()) -> None:
        self._code = code
        self._head = head
        self._loop_items = loop_items
        self._bounds = Bounds()
        self._script = Script()
        self._operations_left = MAX_OPERATIONS
        self._loops = False
        self.changed: set[int] = set()
        """Depths of the entry items that a loop assigns to."""
        stack = Stack(self._bounds)
        stack.need(max(loop_items, default=0))
        path = self._path(head, stack, "   ", frozenset(), 0)
        if head in code.targets:
            self._enter(path, head)
        self._walk(path)

    def source(self) -> str:
        body = "\n".join(self._script.lines)
        setup = [
            f"  {name} = {value}"
            for name, value in forms.VARIABLES.items()
            if re.search(rf"\b{name}\b", body)
        ]
        names = [entry_name(depth) for depth in range(self._bounds.reach, 0, -1)]
        if names:
            setup.append(f"  {', '.join(names)}, = stack[-{len(names)}:]")
        return "\n".join(
            (
                "def make(targets):",
                " def trace(frame):",
                "  stack = frame.stack",
                f"  if not {len(names)} <= len(stack) <= {STACK_LIMIT - self._bounds.peak}:",
                "   return False",
                "  gas = frame.gas",
                *setup,
                "  while True:" if self._loops else "  if True:",
                body,
                " return trace",
            )
        )

    # Paths

    def _path(
        self, pc: int, stack: Stack, margin: str, passed: frozenset[int], memory: int
    ) -> Path:
        stretch = self._script.open(margin, self._leaving(stack, pc, False))
        return Path(pc, stack, margin, passed, stretch, memory)

    def _walk(self, path: Path) -> None:
        while self._write_operation(path):
            self._operations_left -= 1

    def _write_operation(self, path: Path) -> bool:
        """Write the next operation; False if the path ends with it."""
        code, pc = self._code.code, path.pc
        # Beyond the end there is STOP.
        opcode = code[pc] if pc < len(code) else 0
        operation = self._code.table[opcode]
        if operation is None or opcode in forms.RARE:
            return self._end(path, self._leaving(path.stack, pc, False))
        if opcode == JUMPDEST:
            return self._go_to(path, pc)
        if self._operations_left <= 0:
            return self._end(path, self._leaving(path.stack, pc, True))
        path.stretch.gas += operation.gas
        path.pc += 1
        write = _WRITERS.get(opcode, TraceWriter._write_plain)
        return write(self, path, opcode, operation)

    def _go_to(self, path: Path, target: int) -> bool:
        """Follow the path to a JUMPDEST, and past it."""
        if target == self._head and not path.stack.height:
            return self._end(path, self._looping(path.stack))
        is_done = self._operations_left <= 0 or len(path.margin) > MAX_BRANCH_DEPTH
        if is_done or target in path.passed or not self._code.is_warm(target):
            return self._end(path, self._leaving(path.stack, target, True))
        self._enter(path, target)
        return True

    def _enter(self, path: Path, target: int) -> None:
        path.passed |= {target}
        path.stretch.gas += 1
        path.pc = target + 1

    def _end(self, path: Path, line: str) -> bool:
        self._script.write(path.margin, line)
        self._script.close(path.stretch)
        return False

    def _renew(self, path: Path) -> None:
        """End the stretch and begin another."""
        self._script.close(path.stretch)
        path.stretch = self._script.open(path.margin, self._leaving(path.stack, path.pc, False))

    def _looping(self, stack: Stack) -> str:
        """Python that begins the trace again with this stack."""
        self._loops = True
        entries = {entry_name(stack.reach - i): item for i, item in enumerate(stack.items)}
        changes = {name: item for name, item in entries.items() if item != name}
        self.changed |= {int(name[1:]) for name in changes}
        if not changes:
            return "continue"
        return f"{', '.join(changes)}, = {', '.join(map(text, changes.values()))},; continue"

    def _leaving(self, stack: Stack, pc: Item, answer: bool) -> str:
        """Python that ends the trace at a position."""
        return f"{self._spilling(stack)}frame.gas = gas; frame.pc = {text(pc)}; return {answer}"

    def _spilling(self, stack: Stack) -> str:
        """Python that puts the items where they belong; those in their old place stay there."""
        items, kept = stack.items, 0
        for depth, item in zip(range(stack.reach, 0, -1), items, strict=False):
            if item != entry_name(depth) or depth in self._loop_items:
                break
            kept += 1
        place = f"stack[-{stack.reach - kept}:] = " if stack.reach > kept else "stack += "
        new = "".join(f"{text(item)}, " for item in items[kept:])
        return f"{place}({new}); " if new or stack.reach > kept else ""

    # Operations

    def _write_plain(self, path: Path, opcode: int, operation: Operation) -> bool:
        """Any operation: by its form, else by calling its function on a stack of its operands."""
        stack, script = path.stack, self._script
        operands = [stack.pop() for _ in range(operation.least)]
        if opcode in forms.EXPRESSIONS:
            form = forms.EXPRESSIONS[opcode].format(*(self._name(path, x) for x in operands))
            stack.push(script.assign(path.margin, form))
            return True
        put = "".join(f"{text(item)}, " for item in reversed(operands))
        call = f"frame.gas = gas; op_{opcode:02x}(frame)"
        script.write(path.margin, f"stack += ({put}); {call}" if put else call)
        if opcode in forms.ENDINGS:
            return self._end(path, "return True")
        script.write(path.margin, "gas = frame.gas")
        for _ in range(STACK_LIMIT + operation.least - operation.most):
            stack.push(script.assign(path.margin, "stack.pop()"))
        if opcode in forms.BARRIERS:
            self._renew(path)
        return True

    def _write_condition(self, path: Path, opcode: int, _: Operation) -> bool:
        operands = [self._name(path, path.stack.pop()) for _ in range(2)]
        path.stack.push(Condition(forms.CONDITIONS[opcode].format(*operands)))
        return True

    def _write_is_zero(self, path: Path, *_: object) -> bool:
        item = path.stack.pop()
        if isinstance(item, Condition):
            path.stack.push(Condition(item.expression, not item.negated))
        elif isinstance(item, int):
            path.stack.push(int(not item))
        else:
            path.stack.push(Condition(item, negated=True))
        return True

    def _write_call(self, path: Path, opcode: int, operation: Operation) -> bool:
        """An operation that hands a message to the machine; the frame goes on behind it."""
        path.stack.need(operation.least)
        place = f"{self._spilling(path.stack)}frame.gas = gas; frame.pc = {path.pc}"
        return self._end(path, f"{place}; return op_{opcode:02x}(frame)")

    def _write_push(self, path: Path, opcode: int, _: Operation) -> bool:
        size = opcode - PUSH1 + 1
        item = self._code.code[path.pc : path.pc + size].ljust(size, b"\0")
        path.stack.push(int.from_bytes(item, "big"))
        path.pc += size
        return True

    def _write_duplicate(self, path: Path, opcode: int, _: Operation) -> bool:
        path.stack.duplicate(opcode - forms.DUP1 + 1)
        return True

    def _write_swap(self, path: Path, opcode: int, _: Operation) -> bool:
        path.stack.swap(opcode - forms.SWAP1 + 1)
        return True

    def _write_pop(self, path: Path, *_: object) -> bool:
        path.stack.pop()
        return True

    def _write_pc(self, path: Path, *_: object) -> bool:
        path.stack.push(path.pc - 1)
        return True

    def _write_gas(self, path: Path, *_: object) -> bool:
        path.stack.push(self._script.assign_gas(path.stretch))
        return True

    def _write_jump(self, path: Path, *_: object) -> bool:
        return self._jump(path, path.stack.pop())

    def _jump(self, path: Path, target: Item) -> bool:
        if target in self._code.targets:
            return self._go_to(path, target)
        if isinstance(target, int):
            return self._end(path, "raise InvalidJump")
        self._script.write(path.margin, f"if {text(target)} not in targets: raise InvalidJump")
        return self._end(path, self._leaving(path.stack, target, True))

    def _write_jump_if(self, path: Path, *_: object) -> bool:
        target, condition = path.stack.pop(), path.stack.pop()
        if isinstance(condition, int):
            return self._jump(path, target) if condition else True
        test = condition.test if isinstance(condition, Condition) else condition
        self._script.write(path.margin, f"if {test}:")
        self._branch(path, target)
        self._renew(path)
        if self._code.is_warm(path.pc):
            return True
        return self._end(path, self._leaving(path.stack, path.pc, True))

    def _branch(self, path: Path, target: Item) -> None:
        """Write where a JUMPI jumps to, deeper by a margin."""
        margin = path.margin + " "
        place = self._path(path.pc, path.stack.copy(), margin, path.passed, path.memory)
        # The jump is made: what cannot pay for the next stretch stops behind it.
        place.stretch.leave = self._leaving(place.stack, target, False)
        if self._jump(place, target):
            self._walk(place)

    # Memory

    def _write_load(self, path: Path, *_: object) -> bool:
        offset = self._name(path, path.stack.pop())
        self._extend(path, offset, "0x20")
        word = self._script.assign(path.margin, f"from_bytes(memory[{offset}:{offset} + 32])")
        path.stack.push(word)
        return True

    def _write_store(self, path: Path, *_: object) -> bool:
        offset, item = self._name(path, path.stack.pop()), path.stack.pop()
        self._extend(path, offset, "0x20")
        if isinstance(item, int):
            word = repr(item.to_bytes(32, "big"))
        else:
            word = f"{self._name(path, item)}.to_bytes(32)"
        self._script.write(path.margin, f"memory[{offset}:{offset} + 32] = {word}")
        return True

    def _write_store_byte(self, path: Path, *_: object) -> bool:
        offset, item = (self._name(path, path.stack.pop()) for _ in range(2))
        self._extend(path, offset, "0x1")
        self._script.write(path.margin, f"memory[{offset}] = {item} & 255")
        return True

    def _write_hash(self, path: Path, *_: object) -> bool:
        offset, item = self._name(path, path.stack.pop()), path.stack.pop()
        size = self._name(path, item)
        if isinstance(item, int):
            path.stretch.gas += KECCAK_WORD_GAS * word_count(item)
        else:
            self._script.write(path.margin, f"gas -= {KECCAK_WORD_GAS} * (({size} + 31) >> 5)")
            self._script.write(path.margin, "if gas < 0: raise OutOfGas")
        self._extend(path, offset, size)
        form = f"from_bytes(keccak_256(memory[{offset}:{offset} + {size}]).digest())"
        path.stack.push(self._script.assign(path.margin, form))
        return True

    def _extend(self, path: Path, offset: str, size: str) -> None:
        """Pay for memory up to ``offset`` + ``size``, and have it."""
        grow = f"frame.gas = gas; extend(({offset}, {size})); gas = frame.gas"
        end = _constant(offset) + _constant(size)
        if end <= path.memory or not _constant(size):
            return
        if end < MAX_CONSTANT_BYTES:
            path.memory = end
        self._script.write(path.margin, f"if {size} and {offset} + {size} > len(memory): {grow}")

    def _name(self, path: Path, item: Item) -> str:
        """The item as a name or a number."""
        if isinstance(item, Condition):
            return self._script.assign(path.margin, item.number)
        return text(item)


def _constant(expression: str) -> int:
    """The value of a number; of a name, more than any memory has."""
    return int(expression, 16) if expression.startswith("0x") else 2**256


_Write = Callable[[TraceWriter, Path, int, Operation], bool]
_WRITERS: dict[int, _Write] = {
    **dict.fromkeys(forms.CONDITIONS, TraceWriter._write_condition),
    **dict.fromkeys(forms.CALLS, TraceWriter._write_call),
    **dict.fromkeys(range(PUSH1, PUSH32 + 1), TraceWriter._write_push),
    **dict.fromkeys(range(forms.DUP1, forms.DUP16 + 1), TraceWriter._write_duplicate),
    **dict.fromkeys(range(forms.SWAP1, forms.SWAP16 + 1), TraceWriter._write_swap),
    0x15: TraceWriter._write_is_zero,
    0x20: TraceWriter._write_hash,
    0x50: TraceWriter._write_pop,
    0x51: TraceWriter._write_load,
    0x52: TraceWriter._write_store,
    0x53: TraceWriter._write_store_byte,
    0x56: TraceWriter._write_jump,
    0x57: TraceWriter._write_jump_if,
    0x58: TraceWriter._write_pc,
    0x5A: TraceWriter._write_gas,
}
