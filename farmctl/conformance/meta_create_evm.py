"""Creation of metadata contracts and plain ones: code, account, gas and state root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from farmctl.conformance._machine import NoModels, mainnet_block, new_state, short_address
from node.spec.vm import Message, Outcome, TransactionContext, VmError, execute, fast
from node.spec.vm.frame import Interpret

SENDER, SENDER_NONCE, SENDER_BALANCE = short_address(0xF00D), 5, 1_000
GAS = 3_000_000


def run(data: Any, interpret: Interpret = fast.interpret) -> Iterable[Case]:
    for case in data["cases"]:
        yield judge(case["Case"], partial(_check, case, interpret))


def _check(case: dict[str, Any], interpret: Interpret) -> Iterator[str]:
    state = new_state()
    state.set_nonce(SENDER, SENDER_NONCE)
    state.set_balance(SENDER, SENDER_BALANCE)
    state.begin_transaction()
    message = Message(SENDER, None, 0, unhex(case["Payload"]), GAS)
    block = mainnet_block(integer(case["BlockNumber"]))
    transaction = TransactionContext(SENDER, 1)
    outcome = execute(state, block, transaction, message, NoModels(), interpret)
    state.end_transaction()

    address = unhex(case["Address"])
    yield from _check_outcome(case, outcome, address)
    yield from differs("the code", unhex(case["Code"]), state.get_code(address))
    if case["Upload"]:
        yield from differs("upload", integer(case["Upload"]), state.get_upload(address))
    yield from differs("num", integer(case["Num"]), state.get_num(address))
    yield from differs("the state root", unhex(case["Root"]), state.root())
    account = state.account(address)
    encoded = account.encode() if account is not None else b""
    yield from differs("the account", unhex(case["AccountRLP"]), encoded)


def _check_outcome(case: dict[str, Any], outcome: Outcome, address: bytes) -> Iterator[str]:
    yield from differs("gas used", integer(case["GasUsedExclIntrinsic"]), GAS - outcome.gas_left)
    yield from differs("the error", _kind(case["Error"]), _kind(outcome.error))
    if outcome.error is None:
        yield from differs("the address", address, outcome.contract_address)


def _kind(error: VmError | str | None) -> str:
    """An error's text; how RLP is malformed is worded differently by each decoder."""
    text = str(error or "")
    return "rlp" if text.startswith("rlp:") else text
