"""0x00, 0x56 to 0x5b, 0x60 to 0x9f, 0xf3, 0xfd: flow, PUSH, DUP, SWAP."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from node.spec.vm.errors import InvalidJump, Reverted
from node.spec.vm.frame import Frame

JUMPDEST = 0x5B
PUSH1, PUSH32 = 0x60, 0x7F


def stop(frame: Frame) -> None:
    frame.stop()


def jump(frame: Frame) -> None:
    _go_to(frame, frame.stack.pop())


def jump_if(frame: Frame) -> None:
    target, condition = frame.stack.pop(), frame.stack.pop()
    if condition:
        _go_to(frame, target)


def push_pc(frame: Frame) -> None:
    """The counter has moved on already."""
    frame.stack.append(frame.pc - 1)


def push_gas(frame: Frame) -> None:
    frame.stack.append(frame.gas)


def pass_by(frame: Frame) -> None:
    """JUMPDEST."""


def make_push(size: int) -> Callable[[Frame], None]:
    """PUSHn; bytes beyond the end of the code are zero."""

    def push(frame: Frame) -> None:
        start = frame.pc
        item = frame.code[start : start + size]
        frame.stack.append(int.from_bytes(item, "big") << (8 * (size - len(item))))
        frame.pc = start + size

    return push


def make_duplicate(depth: int) -> Callable[[Frame], None]:
    def duplicate(frame: Frame) -> None:
        frame.stack.append(frame.stack[-depth])

    return duplicate


def make_swap(depth: int) -> Callable[[Frame], None]:
    def swap(frame: Frame) -> None:
        stack = frame.stack
        stack[-1], stack[-1 - depth] = stack[-1 - depth], stack[-1]

    return swap


def return_memory(frame: Frame) -> None:
    # stack
    offset, size = frame.stack.pop(), frame.stack.pop()
    # gas
    frame.extend_memory((offset, size))
    # operation
    frame.stop(frame.read_memory(offset, size))


def revert(frame: Frame) -> None:
    return_memory(frame)
    raise Reverted


def _go_to(frame: Frame, target: int) -> None:
    if target not in jump_destinations(frame.code):
        raise InvalidJump
    frame.pc = target


@lru_cache(maxsize=64)
def jump_destinations(code: bytes) -> frozenset[int]:
    """Positions of JUMPDEST that are not data of a PUSH."""
    found, position = [], 0
    while position < len(code):
        opcode = code[position]
        if opcode == JUMPDEST:
            found.append(position)
        elif PUSH1 <= opcode <= PUSH32:
            position += opcode - PUSH1 + 1
        position += 1
    return frozenset(found)
