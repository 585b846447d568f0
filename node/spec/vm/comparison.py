"""0x10 to 0x1d: comparison and bitwise logic; 0x20: KECCAK256."""

from __future__ import annotations

from node.spec.crypto import keccak
from node.spec.vm.arithmetic import to_signed
from node.spec.vm.frame import Frame, word_count
from node.spec.vm.schedule import KECCAK_WORD_GAS, MAX_WORD


def less_than(frame: Frame) -> None:
    stack = frame.stack
    stack.append(int(stack.pop() < stack.pop()))


def greater_than(frame: Frame) -> None:
    stack = frame.stack
    stack.append(int(stack.pop() > stack.pop()))


def less_than_signed(frame: Frame) -> None:
    stack = frame.stack
    stack.append(int(to_signed(stack.pop()) < to_signed(stack.pop())))


def greater_than_signed(frame: Frame) -> None:
    stack = frame.stack
    stack.append(int(to_signed(stack.pop()) > to_signed(stack.pop())))


def equal(frame: Frame) -> None:
    stack = frame.stack
    stack.append(int(stack.pop() == stack.pop()))


def is_zero(frame: Frame) -> None:
    stack = frame.stack
    stack.append(int(not stack.pop()))


def bitwise_and(frame: Frame) -> None:
    stack = frame.stack
    stack.append(stack.pop() & stack.pop())


def bitwise_or(frame: Frame) -> None:
    stack = frame.stack
    stack.append(stack.pop() | stack.pop())


def bitwise_xor(frame: Frame) -> None:
    stack = frame.stack
    stack.append(stack.pop() ^ stack.pop())


def bitwise_not(frame: Frame) -> None:
    stack = frame.stack
    stack.append(MAX_WORD ^ stack.pop())


def take_byte(frame: Frame) -> None:
    """Byte 0 is the most significant."""
    stack = frame.stack
    index, word = stack.pop(), stack.pop()
    stack.append((word >> (8 * (31 - index))) & 0xFF if index < 32 else 0)


def shift_left(frame: Frame) -> None:
    stack = frame.stack
    bits, word = stack.pop(), stack.pop()
    stack.append((word << bits) & MAX_WORD if bits < 256 else 0)


def shift_right(frame: Frame) -> None:
    stack = frame.stack
    bits, word = stack.pop(), stack.pop()
    stack.append(word >> bits if bits < 256 else 0)


def shift_right_signed(frame: Frame) -> None:
    stack = frame.stack
    bits, word = stack.pop(), to_signed(stack.pop())
    stack.append((word >> min(bits, 255)) & MAX_WORD)


def hash_memory(frame: Frame) -> None:
    # stack
    offset, size = frame.stack.pop(), frame.stack.pop()
    # gas
    frame.charge(KECCAK_WORD_GAS * word_count(size))
    frame.extend_memory((offset, size))
    # operation
    digest = keccak(frame.read_memory(offset, size))
    frame.stack.append(int.from_bytes(digest, "big"))
