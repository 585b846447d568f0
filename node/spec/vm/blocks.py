"""0x40 to 0x45: the block."""

from __future__ import annotations

from node.spec.vm.frame import Frame


def push_block_hash(frame: Frame) -> None:
    """Hash of one of the last 256 ancestors; zero for any other number."""
    number, block = frame.stack.pop(), frame.machine.block
    is_known = number < block.number <= number + 256
    ancestor = block.block_hash(number) if is_known else b""
    frame.stack.append(int.from_bytes(ancestor, "big"))


def push_coinbase(frame: Frame) -> None:
    frame.stack.append(int.from_bytes(frame.machine.block.coinbase, "big"))


def push_timestamp(frame: Frame) -> None:
    frame.stack.append(frame.machine.block.timestamp)


def push_number(frame: Frame) -> None:
    frame.stack.append(frame.machine.block.number)


def push_difficulty(frame: Frame) -> None:
    frame.stack.append(frame.machine.block.difficulty)


def push_gas_limit(frame: Frame) -> None:
    frame.stack.append(frame.machine.block.gas_limit)
