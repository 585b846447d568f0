"""Gas of each opcode by fork: 17 times PUSH1 01, the opcode, STOP; less the pushes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, judge
from farmctl.conformance._machine import NoModels, mainnet_block, new_state, short_address
from node.spec.vm import Message, Outcome, TransactionContext, execute, fast
from node.spec.vm.errors import InvalidOpcode
from node.spec.vm.frame import Interpret

#: Blocks that the vectors name.
BLOCKS = {"mainnet_pre_istanbul": 100, "mainnet_istanbul": 3_230_000, "mainnet_neo": 4_650_000}
CONTRACT, CALLER = short_address(0xC0DE), short_address(0xF00D)
PUSHES = bytes.fromhex("6001" * 17)
GAS = 10_000_000


def run(data: Any, interpret: Interpret = fast.interpret) -> Iterable[Case]:
    for fork, prices in data["gas"].items():
        for row, expected in prices.items():
            yield judge(f"{fork} {row}", partial(_check, fork, row, expected, interpret))


def _check(fork: str, row: str, expected: str, interpret: Interpret) -> Iterator[str]:
    opcode = int(row.split()[0], 16)
    outcome = _execute(BLOCKS[fork], opcode, interpret)
    if expected.startswith("panic"):
        # The program that made the vectors set no gas price and fell over; ours must not.
        if outcome.error is not None:
            yield f"should succeed, fails: {outcome.error}"
    elif expected.startswith("err:"):
        yield from _check_error(outcome, opcode, expected.removeprefix("err:"))
    elif outcome.error is not None:
        yield f"should cost {expected}, fails: {outcome.error}"
    elif (used := GAS - outcome.gas_left - 3 * 17) != int(expected):
        yield f"should cost {expected}, costs {used}"


def _check_error(outcome: Outcome, opcode: int, expected: str) -> Iterator[str]:
    error = outcome.error
    if expected.startswith("invalid opcode"):
        if not (isinstance(error, InvalidOpcode) and error.opcode == opcode):
            yield f"should be an invalid opcode, is {error}"
    elif str(error) != expected:
        yield f"should fail with '{expected}', has '{error}'"


def _execute(number: int, opcode: int, interpret: Interpret) -> Outcome:
    state = new_state()
    state.set_code(CONTRACT, PUSHES + bytes((opcode, 0)))
    state.begin_transaction()
    message = Message(CALLER, CONTRACT, 0, b"", GAS)
    transaction = TransactionContext(CALLER, gas_price=1)
    block = mainnet_block(number)
    return execute(state, block, transaction, message, NoModels(), interpret)
