"""The virtual machine: loops, imported blocks of ERC-20 transfers, empty blocks; beside its peers.

``FARMCTL_PYEVM_PYTHON`` and ``FARMCTL_EELS_PYTHON`` name Python interpreters that have py-evm and
the execution specs (ethereum-execution); without them the peers are reported absent. A peer must
use the same gas, and leave the same storage, before anything is compared. All times are CPU time.
Our import checks headers and seals and writes to the disk; the peers' is execution and roots in
memory, py-evm's with its own header checks.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.node import CHAIN, KEY, Clock, import_timed, mine, open_node
from node.spec.crypto import private_address
from node.spec.state import State
from node.spec.transition import created_address
from node.spec.trie import MemoryStore
from node.spec.types import Block, Transaction
from node.spec.vm import (
    INTERPRETERS,
    BlockContext,
    InferRuntimeError,
    Message,
    TransactionContext,
    execute,
)

PEERS = {"py-evm": ("FARMCTL_PYEVM_PYTHON", "pyevm"), "eels": ("FARMCTL_EELS_PYTHON", "eels")}
PEER_SECONDS = 900

SENDER = private_address(KEY)
TOKEN = created_address(SENDER, 0)
CONTRACT = b"\xc0" * 20
LOOP_GAS = 10**12
#: Solidity's ``transfer(address,uint256)``.
TRANSFER = bytes.fromhex("a9059cbb")


def loop(body: str, rounds: int) -> str:
    """Code that runs ``body`` (hex, which keeps the stack) so often; the counter is the top."""
    return f"63{rounds:08x}5b{body}6001900380600557" + "00"


#: Name to the body of a loop. ``keccak`` hashes a word of memory, ``storage`` reads a slot.
LOOPS = {
    "count": "",
    "arithmetic": "806003028160071660020a01808218900650",
    "memory": "8060005260005150",
    "keccak": "8060005260206000205080600052602060002050",
    "storage": "60005450",
}


def run(quick: bool) -> dict[str, Any]:
    rounds = 2_000 if quick else 40_000
    loops = {name: loop(body, rounds) for name, body in LOOPS.items()}
    count, transfers = (4, 50) if quick else (10, 100)
    blocks, empty = make_blocks(count, transfers), make_blocks(count * 5, 0)
    cases: dict[str, Any] = {n: {"code": c, "gas": LOOP_GAS} for n, c in loops.items()}
    cases["transfers"], cases["empty"] = describe_blocks(blocks), describe_blocks(empty)
    peers = {name: measure_peer(name, cases) for name in PEERS}
    rows = [measure_loop(name, code, peers) for name, code in loops.items()]
    rows += [measure_import(n, b, peers) for n, b in (("transfers", blocks), ("empty", empty))]
    return {"rows": rows, "rounds": rounds, "transfers_in_a_block": transfers}


def measure_peer(name: str, cases: dict[str, Any]) -> dict[str, Any] | None:
    """Results of a peer by case, or None where it is absent."""
    variable, script = PEERS[name]
    if not (python := os.environ.get(variable)):
        print(f"{name}: absent ({variable} is not set)")
        return None
    path = Path(__file__).parent / "peers" / f"{script}.py"
    done = subprocess.run(
        [python, str(path)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=PEER_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# Loops


def measure_loop(name: str, code: str, peers: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"case": name, "unit": "Mgas/s"}
    for kind, interpret in INTERPRETERS.items():
        run_code(code, interpret)  # what runs often is compiled by then
        gas, seconds = run_code(code, interpret)
        row[kind] = gas / seconds / 1e6
    for peer, found in peers.items():
        if found:
            if found[name]["gas"] != gas:
                raise RuntimeError(f"{peer} uses {found[name]['gas']} gas for {name}, we {gas}")
            row[peer] = gas / found[name]["seconds"] / 1e6
    return with_ratios(row)


def run_code(code: str, interpret: Any) -> tuple[int, float]:
    """Gas used and CPU seconds."""
    state = State(MemoryStore())
    state.set_code(CONTRACT, bytes.fromhex(code))
    state.begin_transaction()
    block = BlockContext(CHAIN, 1, 0, bytes(20), 1, 10**9, lambda _: bytes(32))
    message = Message(CONTRACT, CONTRACT, 0, b"", LOOP_GAS, moves_value=False)
    started = time.process_time()
    transaction = TransactionContext(CONTRACT, 1)
    outcome = execute(state, block, transaction, message, NoModels(), interpret)
    seconds = time.process_time() - started
    if outcome.error is not None:
        raise outcome.error
    return LOOP_GAS - outcome.gas_left, seconds


class NoModels:
    """No loop infers."""

    def operations(self, model: bytes, raw_size: int) -> int:
        raise InferRuntimeError("no models")

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        raise InferRuntimeError("no models")

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        raise InferRuntimeError("no models")


# Blocks

#: The block that creates the token, and one to warm up.
UNTIMED = 2


def make_blocks(count: int, transfers: int) -> list[Block]:
    """A token's creation, then blocks of transfers to addresses that are new."""
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        node = open_node(Path(folder), clock)
        blocks = [mine(node, clock, [create_token()])]
        for number in range(count + UNTIMED - 1):
            first = 1 + number * transfers
            blocks.append(mine(node, clock, map(transfer, range(first, first + transfers))))
        node.close()
    return blocks


def create_token() -> Transaction:
    text = (Path(__file__).parent / "contracts" / "token.hex").read_text()
    code = bytes.fromhex("".join(text.split())) + (10**30).to_bytes(32, "big")
    return Transaction(0, 1, 2_000_000, None, 0, code).sign(KEY, CHAIN.chain_id)


def transfer(nonce: int) -> Transaction:
    receiver = (0x10_000 + nonce).to_bytes(32, "big")
    data = TRANSFER + receiver + (5).to_bytes(32, "big")
    return Transaction(nonce, 1, 70_000, TOKEN, 0, data).sign(KEY, CHAIN.chain_id)


def describe_blocks(blocks: Iterable[Block]) -> dict[str, Any]:
    return {
        "sender": SENDER.hex(),
        "token": TOKEN.hex(),
        "untimed": UNTIMED,
        "blocks": [[t.encode().hex() for t in block.transactions] for block in blocks],
    }


def measure_import(name: str, blocks: list[Block], peers: dict[str, Any]) -> dict[str, Any]:
    timed = blocks[UNTIMED:]
    count = sum(len(block.transactions) for block in timed) or len(timed)
    unit = "transfers/s" if name == "transfers" else "blocks/s"
    row: dict[str, Any] = {"case": name, "unit": unit}
    for kind, interpret in INTERPRETERS.items():
        with tempfile.TemporaryDirectory() as folder:
            node = open_node(Path(folder), Clock(blocks[-1].header.timestamp), interpret)
            import_timed(node, blocks[:UNTIMED])
            row[kind] = count / import_timed(node, timed)
            root = node.state_at(node.head()).account(TOKEN)
            node.close()
    for peer, found in peers.items():
        if found:
            check_peer(peer, found[name], timed, root.storage_root.hex() if root else "")
            row[peer] = count / found[name]["seconds"]
    return with_ratios(row)


def check_peer(peer: str, found: dict[str, Any], blocks: list[Block], root: str) -> None:
    if found["gas"] != [block.header.gas_used for block in blocks]:
        raise RuntimeError(f"{peer} uses other gas than we: {found['gas']}")
    if found["storage_root"] != root:
        raise RuntimeError(f"{peer} leaves other storage than we: {found['storage_root']}")


def with_ratios(row: dict[str, Any]) -> dict[str, Any]:
    """How many times as fast as each peer; None where it is absent."""
    ratios = {f"x {p}": row["fast"] / row[p] if p in row else None for p in PEERS}
    return {**row, **{p: row.get(p) for p in PEERS}, **ratios}
