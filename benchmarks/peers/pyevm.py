"""Run by py-evm's own interpreter: the cases of `benchmarks.cvm` from standard input, as JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import rlp
from eth.chains.base import MiningChain
from eth.consensus import NoProofConsensus
from eth.db.atomic import AtomicDB
from eth.vm.forks.istanbul import IstanbulVM
from eth.vm.forks.istanbul.transactions import IstanbulTransaction

GENESIS = {
    "coinbase": bytes(20),
    "difficulty": 131_072,
    "extra_data": b"",
    "gas_limit": 100_000_000,
    "nonce": bytes(8),
    "mix_hash": bytes(32),
    "timestamp": 1_600_000_000,
}


class UnsealedVM(IstanbulVM):
    """Takes blocks without a seal: what is measured is execution."""

    consensus_class = NoProofConsensus


def open_chain(sender: str) -> Any:
    chain = MiningChain.configure("Benchmark", vm_configuration=((0, UnsealedVM),), chain_id=20260)
    funds = {"balance": 10**24, "nonce": 0, "code": b"", "storage": {}}
    return chain.from_genesis(AtomicDB(), GENESIS, {bytes.fromhex(sender): funds})


def run_loop(case: dict[str, Any]) -> dict[str, Any]:
    vm = open_chain("11" * 20).get_vm()
    code, contract = bytes.fromhex(case["code"]), b"\xc0" * 20
    started = time.process_time()
    done = vm.execute_bytecode(contract, 1, case["gas"], contract, contract, 0, b"", code)
    seconds = time.process_time() - started
    done.raise_if_error()
    return {"gas": done.get_gas_used(), "seconds": seconds}


def run_blocks(case: dict[str, Any]) -> dict[str, Any]:
    source, sink = (open_chain(case["sender"]) for _ in range(2))
    blocks = []
    for transactions in case["blocks"]:
        decoded = [rlp.decode(bytes.fromhex(t), IstanbulTransaction) for t in transactions]
        blocks.append(source.mine_all(decoded)[0].imported_block)
    for block in blocks[: case["untimed"]]:
        sink.import_block(block)
    timed = blocks[case["untimed"] :]
    started = time.process_time()
    for block in timed:
        sink.import_block(block)
    seconds = time.process_time() - started
    token = sink.get_vm().state._account_db._get_account(bytes.fromhex(case["token"]))
    gas = [block.header.gas_used for block in timed]
    return {"gas": gas, "seconds": seconds, "storage_root": token.storage_root.hex()}


cases = json.load(sys.stdin)
measured = {name: (run_loop if "code" in c else run_blocks)(c) for name, c in cases.items()}
json.dump(measured, sys.stdout)
