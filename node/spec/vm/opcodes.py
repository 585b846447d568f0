"""The table of operations: for each opcode its name, stack use, fixed price and function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from node.spec.vm import (
    arithmetic,
    blocks,
    comparison,
    control,
    environment,
    infer,
    logs,
    memory,
    storage,
    system,
)
from node.spec.vm.context import Message
from node.spec.vm.frame import Frame
from node.spec.vm.schedule import LOG_TOPIC_GAS, STACK_LIMIT, Schedule

Execute = Callable[[Frame], Message | None]
Row = tuple[int, str, int, int, int, Execute]


class Operation(NamedTuple):
    """One opcode of a machine."""

    least: int
    """Items that must lie on the stack before it."""
    most: int
    """Items that may."""
    gas: int
    """What it always costs; its function takes what depends on the operands."""
    execute: Execute


@lru_cache(maxsize=64)
def operations(schedule: Schedule) -> tuple[Operation | None, ...]:
    """The 256 operations of a machine; None where an opcode is invalid."""
    table: list[Operation | None] = [None] * 256
    for opcode, _, pops, pushes, gas, execute in _rows(schedule):
        table[opcode] = Operation(pops, STACK_LIMIT + pops - pushes, gas, execute)
    return tuple(table)


@lru_cache(maxsize=64)
def opcodes(schedule: Schedule) -> Mapping[str, int]:
    """The opcodes of a machine by name."""
    return {row[1]: row[0] for row in _rows(schedule)}


def _rows(schedule: Schedule) -> Iterator[Row]:
    """Opcode, name, items popped and pushed, gas, function."""
    yield from _ARITHMETIC
    yield from _FLOW
    yield from _accounts(schedule)
    yield from _numbered()
    if schedule.constantinople:
        yield from _constantinople(schedule)
    if schedule.istanbul:
        yield (0x46, "CHAINID", 0, 1, 2, environment.push_chain_id)
        gas = schedule.parameters.self_balance_gas
        yield (0x47, "SELFBALANCE", 0, 1, gas, environment.push_own_balance)
    if schedule.parameters.inference:
        # They pop three, but the network checks for two: see `infer`.
        yield (0xC0, "INFER", 2, 1, 0, infer.infer)
        yield (0xC1, "INFERARRAY", 2, 1, 0, infer.infer_array)


_ARITHMETIC: tuple[Row, ...] = (
    (0x01, "ADD", 2, 1, 3, arithmetic.add),
    (0x02, "MUL", 2, 1, 5, arithmetic.multiply),
    (0x03, "SUB", 2, 1, 3, arithmetic.subtract),
    (0x04, "DIV", 2, 1, 5, arithmetic.divide),
    (0x05, "SDIV", 2, 1, 5, arithmetic.divide_signed),
    (0x06, "MOD", 2, 1, 5, arithmetic.modulo),
    (0x07, "SMOD", 2, 1, 5, arithmetic.modulo_signed),
    (0x08, "ADDMOD", 3, 1, 8, arithmetic.add_modulo),
    (0x09, "MULMOD", 3, 1, 8, arithmetic.multiply_modulo),
    (0x0A, "EXP", 2, 1, 10, arithmetic.exponentiate),
    (0x0B, "SIGNEXTEND", 2, 1, 5, arithmetic.extend_sign),
    (0x10, "LT", 2, 1, 3, comparison.less_than),
    (0x11, "GT", 2, 1, 3, comparison.greater_than),
    (0x12, "SLT", 2, 1, 3, comparison.less_than_signed),
    (0x13, "SGT", 2, 1, 3, comparison.greater_than_signed),
    (0x14, "EQ", 2, 1, 3, comparison.equal),
    (0x15, "ISZERO", 1, 1, 3, comparison.is_zero),
    (0x16, "AND", 2, 1, 3, comparison.bitwise_and),
    (0x17, "OR", 2, 1, 3, comparison.bitwise_or),
    (0x18, "XOR", 2, 1, 3, comparison.bitwise_xor),
    (0x19, "NOT", 1, 1, 3, comparison.bitwise_not),
    (0x1A, "BYTE", 2, 1, 3, comparison.take_byte),
    (0x20, "KECCAK256", 2, 1, 30, comparison.hash_memory),
)

_FLOW: tuple[Row, ...] = (
    (0x00, "STOP", 0, 0, 0, control.stop),
    (0x50, "POP", 1, 0, 2, memory.pop),
    (0x51, "MLOAD", 1, 1, 3, memory.load_word),
    (0x52, "MSTORE", 2, 0, 3, memory.store_word),
    (0x53, "MSTORE8", 2, 0, 3, memory.store_byte),
    (0x55, "SSTORE", 2, 0, 0, storage.store_storage),
    (0x56, "JUMP", 1, 0, 8, control.jump),
    (0x57, "JUMPI", 2, 0, 10, control.jump_if),
    (0x58, "PC", 0, 1, 2, control.push_pc),
    (0x59, "MSIZE", 0, 1, 2, memory.push_memory_size),
    (0x5A, "GAS", 0, 1, 2, control.push_gas),
    (0x5B, "JUMPDEST", 0, 0, 1, control.pass_by),
    (0xF0, "CREATE", 3, 1, 32_000, system.create),
    (0xF1, "CALL", 7, 1, 700, system.call),
    (0xF2, "CALLCODE", 7, 1, 700, system.call_code),
    (0xF3, "RETURN", 2, 0, 0, control.return_memory),
    (0xF4, "DELEGATECALL", 6, 1, 700, system.delegate_call),
    (0xFA, "STATICCALL", 6, 1, 700, system.static_call),
    (0xFD, "REVERT", 2, 0, 0, control.revert),
    (0xFF, "SELFDESTRUCT", 1, 0, 5_000, system.self_destruct),
)


def _accounts(schedule: Schedule) -> Iterator[Row]:
    yield (0x30, "ADDRESS", 0, 1, 2, environment.push_address)
    yield (0x31, "BALANCE", 1, 1, schedule.balance_gas, environment.push_balance)
    yield (0x32, "ORIGIN", 0, 1, 2, environment.push_origin)
    yield (0x33, "CALLER", 0, 1, 2, environment.push_caller)
    yield (0x34, "CALLVALUE", 0, 1, 2, environment.push_value)
    yield (0x35, "CALLDATALOAD", 1, 1, 3, environment.load_data)
    yield (0x36, "CALLDATASIZE", 0, 1, 2, environment.push_data_size)
    yield (0x37, "CALLDATACOPY", 3, 0, 3, environment.copy_data)
    yield (0x38, "CODESIZE", 0, 1, 2, environment.push_code_size)
    yield (0x39, "CODECOPY", 3, 0, 3, environment.copy_code)
    yield (0x3A, "GASPRICE", 0, 1, 2, environment.push_gas_price)
    yield (0x3B, "EXTCODESIZE", 1, 1, 700, environment.push_other_code_size)
    yield (0x3C, "EXTCODECOPY", 4, 0, 700, environment.copy_other_code)
    yield (0x3D, "RETURNDATASIZE", 0, 1, 2, environment.push_return_size)
    yield (0x3E, "RETURNDATACOPY", 3, 0, 3, environment.copy_return)
    yield (0x40, "BLOCKHASH", 1, 1, 20, blocks.push_block_hash)
    yield (0x41, "COINBASE", 0, 1, 2, blocks.push_coinbase)
    yield (0x42, "TIMESTAMP", 0, 1, 2, blocks.push_timestamp)
    yield (0x43, "NUMBER", 0, 1, 2, blocks.push_number)
    yield (0x44, "DIFFICULTY", 0, 1, 2, blocks.push_difficulty)
    yield (0x45, "GASLIMIT", 0, 1, 2, blocks.push_gas_limit)
    yield (0x54, "SLOAD", 1, 1, schedule.storage_load_gas, storage.load_storage)


def _numbered() -> Iterator[Row]:
    for n in range(1, 33):
        yield (0x5F + n, f"PUSH{n}", 0, 1, 3, control.make_push(n))
    for n in range(1, 17):
        yield (0x7F + n, f"DUP{n}", n, n + 1, 3, control.make_duplicate(n))
        yield (0x8F + n, f"SWAP{n}", n + 1, n + 1, 3, control.make_swap(n))
    for n in range(5):
        yield (0xA0 + n, f"LOG{n}", n + 2, 0, 375 + LOG_TOPIC_GAS * n, logs.make_log(n))


def _constantinople(schedule: Schedule) -> Iterator[Row]:
    yield (0x1B, "SHL", 2, 1, 3, comparison.shift_left)
    yield (0x1C, "SHR", 2, 1, 3, comparison.shift_right)
    yield (0x1D, "SAR", 2, 1, 3, comparison.shift_right_signed)
    yield (0x3F, "EXTCODEHASH", 1, 1, schedule.code_hash_gas, environment.push_other_code_hash)
    yield (0xF5, "CREATE2", 4, 1, 32_000, system.create_at)
