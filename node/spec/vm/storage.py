"""0x54 and 0x55: the account's storage."""

from __future__ import annotations

from node.spec.vm.errors import OutOfGas
from node.spec.vm.frame import Frame
from node.spec.vm.schedule import (
    CALL_STIPEND_GAS,
    STORAGE_CLEAR_REFUND,
    STORAGE_RESET_GAS,
    STORAGE_SET_GAS,
)


def load_storage(frame: Frame) -> None:
    slot = frame.stack.pop()
    frame.stack.append(frame.machine.state.get_storage(frame.address, slot))


def store_storage(frame: Frame) -> None:
    # stack
    slot, new = frame.stack.pop(), frame.stack.pop()
    # gas
    price = _price_net if frame.machine.schedule.istanbul else _price_legacy
    gas, refund = price(frame, slot, new)
    frame.charge(gas)
    # operation
    frame.refuse_static()
    frame.machine.refund += refund
    frame.machine.state.set_storage(frame.address, slot, new)


def _price_legacy(frame: Frame, slot: int, new: int) -> tuple[int, int]:
    """Gas and refund before Istanbul: only the current value counts."""
    current = frame.machine.state.get_storage(frame.address, slot)
    if not current and new:
        return STORAGE_SET_GAS, 0
    return STORAGE_RESET_GAS, STORAGE_CLEAR_REFUND if current and not new else 0


def _price_net(frame: Frame, slot: int, new: int) -> tuple[int, int]:
    """Gas and change of the refund since Istanbul (EIP-2200)."""
    if frame.gas <= CALL_STIPEND_GAS:
        raise OutOfGas("not enough gas for reentrancy sentry")
    state, load_gas = frame.machine.state, frame.machine.schedule.storage_load_gas
    current = state.get_storage(frame.address, slot)
    if new == current:
        return load_gas, 0
    original = state.get_original_storage(frame.address, slot)
    if original == current:
        gas = STORAGE_RESET_GAS if original else STORAGE_SET_GAS
        return gas, STORAGE_CLEAR_REFUND if original and not new else 0
    return load_gas, _refund_dirty(original, current, new, load_gas)


def _refund_dirty(original: int, current: int, new: int, load_gas: int) -> int:
    """Change of the refund where the transaction has already changed the slot."""
    refund = 0
    if original and not current:
        refund -= STORAGE_CLEAR_REFUND
    elif original and not new:
        refund += STORAGE_CLEAR_REFUND
    if new == original:
        refund += (STORAGE_RESET_GAS if original else STORAGE_SET_GAS) - load_gas
    return refund
