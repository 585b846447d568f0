"""0xf0 to 0xf2, 0xf4, 0xf5, 0xfa, 0xff: creations, calls and SELFDESTRUCT.

A call returns its message to the interpreter, which runs it and then comes back to this frame.
"""

from __future__ import annotations

from node.spec.vm.context import Message
from node.spec.vm.frame import Frame, to_address, word_count
from node.spec.vm.schedule import (
    CALL_STIPEND_GAS,
    CALL_VALUE_GAS,
    KECCAK_WORD_GAS,
    NEW_ACCOUNT_GAS,
    SELFDESTRUCT_REFUND,
)


def create(frame: Frame) -> Message:
    # stack
    value, offset, size = (frame.stack.pop() for _ in range(3))
    # gas
    frame.extend_memory((offset, size))
    # operation
    return _creation(frame, value, frame.read_memory(offset, size), None)


def create_at(frame: Frame) -> Message:
    """CREATE2: the address follows from the code and a salt."""
    # stack
    value, offset, size, salt = (frame.stack.pop() for _ in range(4))
    # gas
    frame.charge(KECCAK_WORD_GAS * word_count(size))
    frame.extend_memory((offset, size))
    # operation
    return _creation(frame, value, frame.read_memory(offset, size), salt)


def call(frame: Frame) -> Message:
    # stack
    requested, target, value, offset, size, *area = (frame.stack.pop() for _ in range(7))
    address, message = to_address(target), frame.message
    # gas
    extra = CALL_VALUE_GAS if value else 0
    if value and frame.machine.state.is_empty(address):
        extra += NEW_ACCOUNT_GAS
    gas = _charge_call(frame, requested, extra, (offset, size), (area[0], area[1]))
    # operation
    if value:
        frame.refuse_static()
    return Message(
        caller=frame.address,
        to=address,
        value=value,
        data=frame.read_memory(offset, size),
        gas=gas + (CALL_STIPEND_GAS if value else 0),
        depth=message.depth + 1,
        is_static=message.is_static,
    )


def call_code(frame: Frame) -> Message:
    """Another account's code in this account; the value only has to be there."""
    # stack
    requested, target, value, offset, size, *area = (frame.stack.pop() for _ in range(7))
    message = frame.message
    # gas
    extra = CALL_VALUE_GAS if value else 0
    gas = _charge_call(frame, requested, extra, (offset, size), (area[0], area[1]))
    # operation
    return Message(
        caller=frame.address,
        to=frame.address,
        value=value,
        data=frame.read_memory(offset, size),
        gas=gas + (CALL_STIPEND_GAS if value else 0),
        code_address=to_address(target),
        depth=message.depth + 1,
        is_static=message.is_static,
    )


def delegate_call(frame: Frame) -> Message:
    """Another account's code as if it were this account's."""
    # stack
    requested, target, offset, size, *area = (frame.stack.pop() for _ in range(6))
    message = frame.message
    # gas
    gas = _charge_call(frame, requested, 0, (offset, size), (area[0], area[1]))
    # operation
    return Message(
        caller=message.caller,
        to=frame.address,
        value=message.value,
        data=frame.read_memory(offset, size),
        gas=gas,
        code_address=to_address(target),
        depth=message.depth + 1,
        is_static=message.is_static,
        moves_value=False,
    )


def static_call(frame: Frame) -> Message:
    # stack
    requested, target, offset, size, *area = (frame.stack.pop() for _ in range(6))
    # gas
    gas = _charge_call(frame, requested, 0, (offset, size), (area[0], area[1]))
    # operation
    return Message(
        caller=frame.address,
        to=to_address(target),
        value=0,
        data=frame.read_memory(offset, size),
        gas=gas,
        depth=frame.message.depth + 1,
        is_static=True,
    )


def self_destruct(frame: Frame) -> None:
    # stack
    beneficiary = to_address(frame.stack.pop())
    machine, state, address = frame.machine, frame.machine.state, frame.address
    balance = state.get_balance(address)
    # gas
    if balance and state.is_empty(beneficiary):
        frame.charge(NEW_ACCOUNT_GAS)
    # operation
    frame.refuse_static()
    if address not in machine.deleted:
        machine.refund += SELFDESTRUCT_REFUND
        machine.deleted[address] = None
    state.add_balance(beneficiary, balance)
    # Last, because a contract that names itself destroys its balance.
    state.set_balance(address, 0)
    frame.stop()


def _creation(frame: Frame, value: int, code: bytes, salt: int | None) -> Message:
    frame.refuse_static()
    gas = frame.gas - frame.gas // 64
    frame.gas -= gas
    frame.return_area = None
    return Message(
        caller=frame.address,
        to=None,
        value=value,
        data=code,
        gas=gas,
        depth=frame.message.depth + 1,
        salt=salt,
    )


def _charge_call(
    frame: Frame, requested: int, extra: int, source: tuple[int, int], area: tuple[int, int]
) -> int:
    """Pay for a call and the memory it reads and fills; return the gas it is given.

    At most 63/64 of what is left goes along (EIP-150).
    """
    memory_gas, end = frame.memory_cost(source, area)
    frame.charge(extra + memory_gas)
    gas = min(requested, frame.gas - frame.gas // 64)
    frame.gas -= gas
    frame.allot_memory(end)
    frame.return_area = area
    return gas
