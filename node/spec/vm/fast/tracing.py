"""Writing a path through a contract's code as one Python function.

The path follows jumps whose target is known. A branch is written within the path where it has been
taken before; else, and where a path would come to where it has been, the function returns with the
stack and the gas as the machine has them, and the position to go on from.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from node.spec.vm.control import JUMPDEST
from node.spec.vm.fast import forms
from node.spec.vm.fast.script import Script
from node.spec.vm.fast.symbols import Bounds, Condition, Item, Stack, entry_name, text
from node.spec.vm.fast.writing import WRITERS, Path, write_function
from node.spec.vm.opcodes import Operation
from node.spec.vm.schedule import STACK_LIMIT

JUMP, JUMPI = 0x56, 0x57
#: Operations in one trace, over all its branches, and branches within branches.
MAX_OPERATIONS = 600
MAX_BRANCH_DEPTH = 12


@dataclass(frozen=True)
class Code:
    """A contract's code as a trace is written from it."""

    code: bytes
    table: tuple[Operation | None, ...]
    targets: frozenset[int]
    """Positions of JUMPDEST."""
    is_warm: Callable[[int], bool]
    """Whether a path to this position is worth following."""


@dataclass(frozen=True)
class Draft:
    """A trace, written."""

    source: str
    """Python of ``make(targets)``, which returns the trace."""
    operations: int
    is_cut: bool
    """Whether it would have had more operations."""


def write_trace(code: Code, head: int, most: int = MAX_OPERATIONS) -> Draft:
    """The trace from position ``head``, of at most so many operations."""
    first = TraceWriter(code, head, most)
    if not first.changed:
        return first.draft()
    # A loop assigns to entry items: wherever it is left they have to be written back.
    return TraceWriter(code, head, most, frozenset(first.changed)).draft()


class TraceWriter:
    def __init__(
        self, code: Code, head: int, most: int, loop_items: frozenset[int] = frozenset()
    ) -> None:
        self._code = code
        self._head = head
        self._loop_items = loop_items
        self._bounds = Bounds()
        self._script = Script()
        self._operations = 0
        self._most = most
        self._is_cut = False
        self._loops = False
        self.changed: set[int] = set()
        """Depths of the entry items that a loop assigns to."""
        self._walk(self._start())

    def draft(self) -> Draft:
        return Draft(self._source(), self._operations, self._is_cut)

    def _source(self) -> str:
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

    def _start(self) -> Path:
        stack, margin = Stack(self._bounds), "   "
        stack.need(max(self._loop_items, default=0))
        stretch = self._script.open(margin)
        path = Path(self._script, self._code.code, self._head, stack, margin, stretch)
        if self._head in self._code.targets:
            self._pass(path, self._head)
        return path

    def _walk(self, path: Path) -> None:
        while self._write_operation(path):
            self._operations += 1

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
        if self._is_full():
            return self._end(path, self._leaving(path.stack, pc))
        path.stretch.gas += operation.gas
        path.pc += 1
        if opcode == JUMP:
            return self._jump(path, path.stack.pop())
        if opcode == JUMPI:
            return self._jump_if(path, path.stack.pop(), path.stack.pop())
        if opcode in forms.CALLS:
            return self._call(path, opcode, operation)
        WRITERS.get(opcode, write_function)(path, opcode, operation)
        if opcode in forms.ENDINGS:
            return self._end(path, "return True")
        if opcode in forms.BARRIERS:
            self._renew(path)
        return True

    # Flow

    def _go_to(self, path: Path, target: int) -> bool:
        """Follow the path to a JUMPDEST, and past it."""
        if target == self._head and not path.stack.height:
            return self._end(path, self._looping(path.stack))
        is_deep = len(path.margin) > MAX_BRANCH_DEPTH
        if is_deep or self._is_full() or target in path.passed or not self._code.is_warm(target):
            return self._end(path, self._leaving(path.stack, target))
        self._pass(path, target)
        return True

    def _is_full(self) -> bool:
        self._is_cut |= self._operations >= self._most
        return self._operations >= self._most

    def _pass(self, path: Path, target: int) -> None:
        path.passed |= {target}
        path.stretch.gas += 1
        path.pc = target + 1

    def _jump(self, path: Path, target: Item) -> bool:
        if target in self._code.targets and isinstance(target, int):
            return self._go_to(path, target)
        if isinstance(target, int):
            return self._end(path, "raise InvalidJump")
        name = path.name(target)
        path.write(f"if {name} not in targets: raise InvalidJump")
        return self._end(path, self._leaving(path.stack, name))

    def _jump_if(self, path: Path, target: Item, condition: Item) -> bool:
        if isinstance(condition, int):
            return self._jump(path, target) if condition else True
        test = condition.test if isinstance(condition, Condition) else condition
        path.write(f"if {test}:")
        self._branch(path, target)
        self._renew(path)
        if self._code.is_warm(path.pc):
            return True
        return self._end(path, self._leaving(path.stack, path.pc))

    def _branch(self, path: Path, target: Item) -> None:
        """Write where a JUMPI jumps to, deeper by a margin."""
        margin = path.margin + " "
        stretch = self._script.open(margin)
        branch = replace(path, stack=path.stack.copy(), margin=margin, stretch=stretch)
        if self._jump(branch, target):
            self._walk(branch)

    def _call(self, path: Path, opcode: int, operation: Operation) -> bool:
        """Hand a message to the machine; the frame goes on behind the operation."""
        path.stack.need(operation.least)
        place = f"{self._spilling(path.stack)}frame.gas = gas; frame.pc = {path.pc}"
        return self._end(path, f"{place}; return op_{opcode:02x}(frame)")

    def _renew(self, path: Path) -> None:
        """End the stretch and begin another."""
        self._script.close(path.stretch)
        path.stretch = self._script.open(path.margin)

    # Ends

    def _end(self, path: Path, line: str) -> bool:
        path.write(line)
        self._script.close(path.stretch)
        return False

    def _looping(self, stack: Stack) -> str:
        """Python that begins the trace again with this stack."""
        self._loops = True
        depths = range(stack.reach, 0, -1)
        changes = {d: x for d, x in zip(depths, stack.items, strict=True) if x != entry_name(d)}
        self.changed |= changes.keys()
        if not changes:
            return "continue"
        names = ", ".join(map(entry_name, changes))
        return f"{names}, = {', '.join(map(text, changes.values()))},; continue"

    def _leaving(self, stack: Stack, pc: Item, answer: bool = True) -> str:
        """Python that ends the trace at a position; see `Trace` for the answer."""
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
