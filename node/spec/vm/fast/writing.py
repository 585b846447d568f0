"""Writing operations that have no say in where the code goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.spec.vm.control import PUSH1, PUSH32
from node.spec.vm.fast import forms
from node.spec.vm.fast.script import Script, Stretch
from node.spec.vm.fast.symbols import Condition, Item, Stack, text
from node.spec.vm.frame import word_count
from node.spec.vm.opcodes import Operation
from node.spec.vm.schedule import KECCAK_WORD_GAS, STACK_LIMIT

#: Memory is known to reach a position only where that is a number up to this.
MAX_KNOWN_BYTES = 2**20


@dataclass
class Path:
    """A way through the code, and where writing it has come to."""

    script: Script
    code: bytes
    pc: int
    stack: Stack
    margin: str
    stretch: Stretch
    passed: frozenset[int] = frozenset()
    """JUMPDESTs on it: it does not come there again."""
    memory: int = 0
    """Bytes that memory is known to have."""

    def write(self, line: str) -> None:
        self.script.write(self.margin, line)

    def push(self, expression: str) -> None:
        """Push the value of an expression."""
        self.stack.push(self.script.assign(self.margin, expression))

    def pop(self) -> str:
        """The top item as a name or a number, which can stand in an expression twice."""
        return self.name(self.stack.pop())

    def name(self, item: Item) -> str:
        if isinstance(item, Condition):
            return self.script.assign(self.margin, item.number)
        return text(item)

    def extend_memory(self, offset: str, size: str) -> None:
        """Pay for memory up to ``offset`` + ``size``, and have it."""
        end = _constant(offset) + _constant(size)
        if end <= self.memory or not _constant(size):
            return
        if end <= MAX_KNOWN_BYTES:
            self.memory = end
        is_short = f"if {size} and {offset} + {size} > len(memory): "
        self.write(f"{is_short}frame.gas = gas; extend(({offset}, {size})); gas = frame.gas")


def _constant(expression: str) -> int:
    """The value of a number; of a name, more than any memory has."""
    return int(expression, 16) if expression.startswith("0x") else 2**256


def write_function(path: Path, opcode: int, operation: Operation) -> None:
    """Call the operation's function, on a stack that ends with its operands."""
    operands = [text(path.stack.pop()) for _ in range(operation.least)]
    if operands:
        path.write(f"stack += ({', '.join(reversed(operands))},)")
    path.write(f"frame.gas = gas; op_{opcode:02x}(frame); gas = frame.gas")
    for _ in range(STACK_LIMIT + operation.least - operation.most):
        path.push("stack.pop()")


def _write_expression(path: Path, opcode: int, operation: Operation) -> None:
    operands = [path.pop() for _ in range(operation.least)]
    path.push(forms.EXPRESSIONS[opcode].format(*operands))


def _write_condition(path: Path, opcode: int, operation: Operation) -> None:
    operands = [path.pop() for _ in range(operation.least)]
    path.stack.push(Condition(forms.CONDITIONS[opcode].format(*operands)))


def _write_is_zero(path: Path, *_: object) -> None:
    item = path.stack.pop()
    if isinstance(item, Condition):
        path.stack.push(Condition(item.expression, not item.negated))
    elif isinstance(item, int):
        path.stack.push(int(not item))
    else:
        path.stack.push(Condition(item, negated=True))


def _write_push(path: Path, opcode: int, _: Operation) -> None:
    size = opcode - PUSH1 + 1
    item = path.code[path.pc : path.pc + size].ljust(size, b"\0")
    path.stack.push(int.from_bytes(item, "big"))
    path.pc += size


def _write_duplicate(path: Path, opcode: int, _: Operation) -> None:
    path.stack.duplicate(opcode - forms.DUP1 + 1)


def _write_swap(path: Path, opcode: int, _: Operation) -> None:
    path.stack.swap(opcode - forms.SWAP1 + 1)


def _write_pop(path: Path, *_: object) -> None:
    path.stack.pop()


def _write_pc(path: Path, *_: object) -> None:
    path.stack.push(path.pc - 1)


def _write_gas(path: Path, *_: object) -> None:
    path.stack.push(path.script.assign_gas(path.stretch))


def _write_load(path: Path, *_: object) -> None:
    offset = path.pop()
    path.extend_memory(offset, "0x20")
    path.push(f"from_bytes(memory[{offset}:{offset} + 32])")


def _write_store(path: Path, *_: object) -> None:
    offset, item = path.pop(), path.stack.pop()
    path.extend_memory(offset, "0x20")
    number = repr(item.to_bytes(32)) if isinstance(item, int) else None
    word = number or f"{path.name(item)}.to_bytes(32)"
    path.write(f"memory[{offset}:{offset} + 32] = {word}")


def _write_store_byte(path: Path, *_: object) -> None:
    offset, item = path.pop(), path.pop()
    path.extend_memory(offset, "0x1")
    path.write(f"memory[{offset}] = {item} & 255")


def _write_hash(path: Path, *_: object) -> None:
    offset, item = path.pop(), path.stack.pop()
    size = path.name(item)
    if isinstance(item, int):
        path.stretch.gas += KECCAK_WORD_GAS * word_count(item)
    else:
        path.write(f"gas -= {KECCAK_WORD_GAS} * (({size} + 31) >> 5)")
        path.write("if gas < 0: raise OutOfGas")
    path.extend_memory(offset, size)
    path.push(f"from_bytes(keccak_256(memory[{offset}:{offset} + {size}]).digest())")


#: Operations that are not written as calls of their functions.
WRITERS: dict[int, Callable[[Path, int, Operation], None]] = {
    **dict.fromkeys(forms.EXPRESSIONS, _write_expression),
    **dict.fromkeys(forms.CONDITIONS, _write_condition),
    **dict.fromkeys(range(PUSH1, PUSH32 + 1), _write_push),
    **dict.fromkeys(range(forms.DUP1, forms.DUP16 + 1), _write_duplicate),
    **dict.fromkeys(range(forms.SWAP1, forms.SWAP16 + 1), _write_swap),
    0x15: _write_is_zero,
    0x20: _write_hash,
    0x50: _write_pop,
    0x51: _write_load,
    0x52: _write_store,
    0x53: _write_store_byte,
    0x58: _write_pc,
    0x5A: _write_gas,
}
