"""Ethereum's official state tests, run by our transition and machine with Ethereum's parameters.

The archive is looked for in the folder ``FARMCTL_ETHEREUM_TESTS``, else in
``../shared/data/ethereum-tests`` beside the repository.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.spec import rlp
from node.spec.chain import Chain, Genesis, VmParameters
from node.spec.crypto import keccak
from node.spec.errors import InvalidTransaction
from node.spec.state import State
from node.spec.transaction import Transaction
from node.spec.transition import BlockTransition
from node.spec.trie import MemoryStore, Trie
from node.spec.vm import BlockContext, InferRuntimeError

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("FARMCTL_ETHEREUM_TESTS", ROOT.parent / "shared/data/ethereum-tests"))
ARCHIVE = FOLDER / "state-tests.tar.xz"

NEVER = 2**63
_GENESIS = Genesis(nonce=bytes(8), extra=b"", difficulty=1, gas_limit=8_000_000, supply=0, alloc={})
#: Ethereum at the two forks that Cortex follows.
CHAINS = {
    fork: Chain(
        name=fork,
        chain_id=1,
        network_id=1,
        genesis=_GENESIS,
        istanbul_block=istanbul,
        neo_block=NEVER,
        vm=VmParameters(
            inference=False, code_deposit_gas=200, self_balance_gas=5, constantinople=True
        ),
    )
    for fork, istanbul in (("ConstantinopleFix", NEVER), ("Istanbul", 0))
}

#: Folders that do not apply: an account with code may send transactions in Cortex, where Ethereum
#: came to refuse it (EIP-3607), at all forks.
DEPARTURES = ("/stEIP3607/",)
#: 4,294,967,295 rounds of BLAKE2F: hours in Python.
UNBEARABLE = ("/CALLBlake2f_MaxRounds.json",)


@dataclass(frozen=True)
class StateCase:
    """One transaction on one fork; ``post`` is what must come of it."""

    name: str
    fork: str
    test: dict[str, Any]
    post: dict[str, Any]

    def check(self) -> str | None:
        """What is wrong, or None."""
        state = _pre_state(self.test["pre"])
        logs = _apply(state, CHAINS[self.fork], self.test, self.post)
        if logs != _bytes(self.post["logs"]):
            return "the logs differ"
        root = _ethereum_root(state)
        return None if root == _bytes(self.post["hash"]) else "the state root differs"


class NoModels:
    """Ethereum has no inference."""

    def operations(self, model: bytes, raw_size: int) -> int:
        raise InferRuntimeError("no models")

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        raise InferRuntimeError("no models")

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        raise InferRuntimeError("no models")


def read_cases(every: int = 1, offset: int = 0) -> Iterator[StateCase]:
    """The cases of each file; of all of them, one in ``every``."""
    count = 0
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if not member.name.endswith(".json"):
                continue
            if any(part in member.name for part in DEPARTURES + UNBEARABLE):
                continue
            file = archive.extractfile(member)
            for case in _file_cases(member.name, json.load(file)) if file else ():
                if count % every == offset:
                    yield case
                count += 1


def _file_cases(path: str, tests: dict[str, Any]) -> Iterator[StateCase]:
    for name, test in tests.items():
        for fork, posts in test["post"].items():
            for index, post in enumerate(posts):
                yield StateCase(f"{path}:{name}:{fork}:{index}", fork, test, post)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _int(text: str) -> int:
    return int(text, 16) if text not in ("", "0x") else 0


def _pre_state(accounts: dict[str, Any]) -> State:
    state = State(MemoryStore())
    for key, fields in accounts.items():
        address = _bytes(key)
        state.create_account(address)
        state.set_balance(address, _int(fields["balance"]))
        state.set_nonce(address, _int(fields["nonce"]))
        if code := _bytes(fields["code"]):
            state.set_code(address, code)
        for slot, value in fields["storage"].items():
            state.set_storage(address, _int(slot), _int(value))
    state.root()
    return state


def _apply(state: State, chain: Chain, test: dict[str, Any], post: dict[str, Any]) -> bytes:
    """Apply the transaction; return the hash of its logs."""
    env = test["env"]
    context = BlockContext(
        chain=chain,
        number=_int(env["currentNumber"]),
        timestamp=_int(env["currentTimestamp"]),
        coinbase=_bytes(env["currentCoinbase"]),
        difficulty=_int(env["currentDifficulty"]),
        gas_limit=_int(env["currentGasLimit"]),
        block_hash=lambda number: keccak(str(number).encode()),
    )
    try:
        transaction = _transaction(test["transaction"], post, chain)
        applied = BlockTransition(context, state, NoModels(), quota=0).apply(transaction)
    except (InvalidTransaction, rlp.RlpError):
        return keccak(rlp.encode([]))
    logs = [[log.address, list(log.topics), log.data] for log in applied.receipt.logs]
    return keccak(rlp.encode(logs))


def _transaction(fields: dict[str, Any], post: dict[str, Any], chain: Chain) -> Transaction:
    if "txbytes" in post:
        return Transaction.decode(_bytes(post["txbytes"]))
    indexes = post["indexes"]
    unsigned = Transaction(
        nonce=_int(fields["nonce"]),
        gas_price=_int(fields["gasPrice"]),
        gas=_int(fields["gasLimit"][indexes["gas"]]),
        to=_bytes(fields["to"]) or None,
        value=_int(fields["value"][indexes["value"]]),
        data=_bytes(fields["data"][indexes["data"]]),
    )
    return unsigned.sign(_bytes(fields["secretKey"]), chain.chain_id)


def _ethereum_root(state: State) -> bytes:
    """The state root with accounts of four fields, as Ethereum has them."""
    state.root()
    trie = Trie(MemoryStore(), secure=True)
    for address, account in state._accounts.items():
        if account is not None:
            number = rlp.encode_int
            fields = [
                number(account.nonce),
                number(account.balance),
                account.storage_root,
                account.code_hash,
            ]
            trie.set(address, rlp.encode(fields))
    return trie.commit()
