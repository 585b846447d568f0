"""Ethereum's official state tests, run by our transition and machine with Ethereum's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from farmctl.conformance import differs
from farmctl.conformance._machine import NoModels
from node.spec import rlp
from node.spec.chain import Chain, Genesis, VmParameters
from node.spec.crypto import keccak
from node.spec.errors import InvalidTransaction
from node.spec.state import State
from node.spec.transaction import Transaction
from node.spec.transition import BlockTransition
from node.spec.trie import MemoryStore, Trie
from node.spec.vm import BlockContext
from node.spec.vm.frame import Interpret

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

#: Folders that do not apply, and why.
DEPARTURES = {"stEIP3607": "an account with code may send transactions in Cortex (EIP-3607)"}


@dataclass(frozen=True)
class StateCase:
    """One transaction on one fork; ``post`` is what must come of it."""

    name: str
    fork: str
    test: dict[str, Any]
    post: dict[str, Any]

    @property
    def departure(self) -> str:
        """Why the case does not apply; empty where it does."""
        if self.fork not in CHAINS:
            return f"Cortex never was at {self.fork}"
        found = (why for folder, why in DEPARTURES.items() if f"/{folder}/" in self.name)
        return next(found, "")

    def check(self, interpret: Interpret) -> Iterator[str]:
        """Yield what is wrong."""
        state = _pre_state(self.test["pre"])
        logs = _apply(state, CHAINS[self.fork], self.test, self.post, interpret)
        yield from differs("the hash of the logs", _bytes(self.post["logs"]), logs)
        yield from differs("the state root", _bytes(self.post["hash"]), _ethereum_root(state))


def read_cases(path: str, tests: dict[str, Any]) -> Iterator[StateCase]:
    """The cases of one file, ``path`` within its archive or folder."""
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


def _apply(
    state: State,
    chain: Chain,
    test: dict[str, Any],
    post: dict[str, Any],
    interpret: Interpret,
) -> bytes:
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
        transition = BlockTransition(context, state, NoModels(), 0, interpret)
        applied = transition.apply(transaction)
    except (InvalidTransaction, rlp.RlpError):
        return keccak(rlp.encode([]))
    return keccak(rlp.encode([log.items() for log in applied.receipt.logs]))


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
