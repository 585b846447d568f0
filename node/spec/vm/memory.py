"""0x50 to 0x53 and 0x59: the top of the stack and memory."""

from __future__ import annotations

from node.spec.vm.frame import Frame


def pop(frame: Frame) -> None:
    frame.stack.pop()


def load_word(frame: Frame) -> None:
    # stack
    offset = frame.stack.pop()
    # gas
    frame.extend_memory((offset, 32))
    # operation
    frame.stack.append(int.from_bytes(frame.memory[offset : offset + 32], "big"))


def store_word(frame: Frame) -> None:
    # stack
    offset, word = frame.stack.pop(), frame.stack.pop()
    # gas
    frame.extend_memory((offset, 32))
    # operation
    frame.memory[offset : offset + 32] = word.to_bytes(32, "big")


def store_byte(frame: Frame) -> None:
    # stack
    offset, word = frame.stack.pop(), frame.stack.pop()
    # gas
    frame.extend_memory((offset, 1))
    # operation
    frame.memory[offset] = word & 0xFF


def push_memory_size(frame: Frame) -> None:
    frame.stack.append(len(frame.memory))
