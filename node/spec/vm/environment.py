"""0x30 to 0x3f and 0x46, 0x47: the call, its accounts, code and data."""

from __future__ import annotations

from node.spec.vm.errors import ReturnDataOutOfBounds
from node.spec.vm.frame import Frame, pad_slice, to_address, word_count
from node.spec.vm.schedule import COPY_WORD_GAS


def push_address(frame: Frame) -> None:
    frame.stack.append(int.from_bytes(frame.address, "big"))


def push_balance(frame: Frame) -> None:
    address = to_address(frame.stack.pop())
    frame.stack.append(frame.machine.state.get_balance(address))


def push_own_balance(frame: Frame) -> None:
    frame.stack.append(frame.machine.state.get_balance(frame.address))


def push_origin(frame: Frame) -> None:
    frame.stack.append(int.from_bytes(frame.machine.transaction.origin, "big"))


def push_caller(frame: Frame) -> None:
    frame.stack.append(int.from_bytes(frame.message.caller, "big"))


def push_value(frame: Frame) -> None:
    frame.stack.append(frame.message.value)


def load_data(frame: Frame) -> None:
    offset = frame.stack.pop()
    frame.stack.append(int.from_bytes(pad_slice(frame.data, offset, 32), "big"))


def push_data_size(frame: Frame) -> None:
    frame.stack.append(len(frame.data))


def copy_data(frame: Frame) -> None:
    _copy(frame, frame.data)


def push_code_size(frame: Frame) -> None:
    frame.stack.append(len(frame.code))


def copy_code(frame: Frame) -> None:
    _copy(frame, frame.code)


def push_gas_price(frame: Frame) -> None:
    frame.stack.append(frame.machine.transaction.gas_price)


def push_other_code_size(frame: Frame) -> None:
    address = to_address(frame.stack.pop())
    frame.stack.append(len(frame.machine.state.get_code(address)))


def copy_other_code(frame: Frame) -> None:
    address = to_address(frame.stack.pop())
    _copy(frame, frame.machine.state.get_code(address))


def push_other_code_hash(frame: Frame) -> None:
    """Zero for an account that is empty or does not exist."""
    state, address = frame.machine.state, to_address(frame.stack.pop())
    code_hash = bytes(32) if state.is_empty(address) else state.get_code_hash(address)
    frame.stack.append(int.from_bytes(code_hash, "big"))


def push_return_size(frame: Frame) -> None:
    frame.stack.append(len(frame.return_data))


def copy_return(frame: Frame) -> None:
    # stack
    target, source, size = (frame.stack.pop() for _ in range(3))
    # gas
    frame.charge(COPY_WORD_GAS * word_count(size))
    frame.extend_memory((target, size))
    # operation
    if source + size > len(frame.return_data):
        raise ReturnDataOutOfBounds
    frame.memory[target : target + size] = frame.return_data[source : source + size]


def push_chain_id(frame: Frame) -> None:
    frame.stack.append(frame.machine.block.chain.chain_id)


def _copy(frame: Frame, source_bytes: bytes) -> None:
    # stack
    target, source, size = (frame.stack.pop() for _ in range(3))
    # gas
    frame.charge(COPY_WORD_GAS * word_count(size))
    frame.extend_memory((target, size))
    # operation
    if size:
        frame.memory[target : target + size] = pad_slice(source_bytes, source, size)
