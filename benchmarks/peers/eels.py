"""Run by the execution specs' own interpreter: the cases of `benchmarks.cvm`, as JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ethereum.forks.istanbul import fork, vm
from ethereum.forks.istanbul.fork_types import Account, Address
from ethereum.forks.istanbul.state import State, set_account, state_root, storage_root
from ethereum.forks.istanbul.transactions import Transaction
from ethereum.forks.istanbul.trie import root
from ethereum.forks.istanbul.vm.interpreter import process_message_call
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes
from ethereum_types.numeric import U64, U256, Uint

COINBASE = Address(bytes(20))
CONTRACT = Address(b"\xc0" * 20)


def new_block(state: State, number: int) -> vm.BlockEnvironment:
    return vm.BlockEnvironment(
        chain_id=U64(20260),
        state=state,
        block_gas_limit=Uint(100_000_000),
        block_hashes=[],
        coinbase=COINBASE,
        number=Uint(number),
        time=U256(1_600_000_000 + 15 * number),
        difficulty=Uint(131_072),
    )


def run_loop(case: dict[str, Any]) -> dict[str, Any]:
    state, code, gas = State(), Bytes.fromhex(case["code"]), Uint(case["gas"])
    set_account(state, CONTRACT, Account(Uint(0), U256(0), code))
    message = vm.Message(
        block_env=new_block(state, 1),
        tx_env=vm.TransactionEnvironment(CONTRACT, Uint(1), gas, Uint(0), None),
        caller=CONTRACT,
        target=CONTRACT,
        current_target=CONTRACT,
        gas=gas,
        value=U256(0),
        data=Bytes(),
        code_address=CONTRACT,
        code=code,
        depth=Uint(0),
        should_transfer_value=False,
        is_static=False,
        parent_evm=None,
    )
    started = time.process_time()
    done = process_message_call(message)
    seconds = time.process_time() - started
    if done.error is not None:
        raise done.error
    return {"gas": int(gas - done.gas_left), "seconds": seconds}


def run_blocks(case: dict[str, Any]) -> dict[str, Any]:
    """Execution and roots; the specs' header validation is left out, as its PoW would dominate."""
    state, gas = State(), []
    set_account(state, Address.fromhex(case["sender"]), Account(Uint(0), U256(10**24), Bytes()))
    started = 0.0
    for number, transactions in enumerate(case["blocks"], 1):
        if number == case["untimed"] + 1:
            started, gas = time.process_time(), []
        decoded = tuple(rlp.decode_to(Transaction, bytes.fromhex(t)) for t in transactions)
        output = fork.apply_body(new_block(state, number), decoded, ())
        root(output.transactions_trie), root(output.receipts_trie), state_root(state)
        fork.logs_bloom(output.block_logs)
        gas.append(int(output.block_gas_used))
    seconds = time.process_time() - started
    token = storage_root(state, Address.fromhex(case["token"]))
    return {"gas": gas, "seconds": seconds, "storage_root": token.hex()}


cases = json.load(sys.stdin)
measured = {name: (run_loop if "code" in c else run_blocks)(c) for name, c in cases.items()}
json.dump(measured, sys.stdout)
