"""What a block's transactions and rewards do to the state (cortex-protocol §2 and §4).

An inference that has no answer raises `InferRuntimeError` through everything here: the state is
then as before the transaction, and nothing is said about its validity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.spec import rlp
from node.spec.bloom import logs_bloom, merge_blooms
from node.spec.chain import Chain
from node.spec.crypto import keccak
from node.spec.errors import InvalidTransaction, Reason
from node.spec.gas import intrinsic_gas
from node.spec.meta import decode_meta
from node.spec.rewards import share_rewards
from node.spec.state import State
from node.spec.trie import ordered_root
from node.spec.types import Header, Receipt, Transaction
from node.spec.vm import BlockContext, Infer, Message, Outcome, TransactionContext, execute, fast
from node.spec.vm.context import Usable, know_nothing
from node.spec.vm.errors import OutOfGas
from node.spec.vm.frame import Interpret

#: How far one upload transaction moves an upload on.
UPLOAD_STEP_BYTES = 512 * 1024
#: An author's gas in one transaction is not paid beyond this.
AUTHOR_GAS_LIMIT = 400_000
MAX_NONCE = 2**64 - 1

#: Number of an ancestor to its hash.
BlockHashes = Callable[[int], bytes]


@dataclass(frozen=True)
class Applied:
    """What a transaction did."""

    receipt: Receipt
    outcome: Outcome
    uploaded_bytes: int


@dataclass(frozen=True)
class Totals:
    """What a header has to state about the block's execution."""

    state_root: bytes
    receipts_root: bytes
    bloom: bytes
    gas_used: int
    uploaded_bytes: int
    """To be added to the parent's ``quota_used``."""
    supply: int


def block_context(
    chain: Chain, header: Header, block_hash: BlockHashes, usable: Usable = know_nothing
) -> BlockContext:
    """The part of a header that execution sees."""
    return BlockContext(
        chain=chain,
        number=header.number,
        timestamp=header.timestamp,
        coinbase=header.coinbase,
        difficulty=header.difficulty,
        gas_limit=header.gas_limit,
        block_hash=block_hash,
        usable=usable,
    )


def quota_to_build(parent: Header, chain: Chain) -> int:
    """Bytes that a new block's transactions may upload.

    Half of what is free: whoever imports the block counts them once in the header's
    ``quota_used`` and once more while executing.
    """
    return (parent.quota + chain.quota_per_block - parent.quota_used) // 2


class BlockTransition:
    """The transactions of one block, one after another, on a state."""

    def __init__(
        self,
        context: BlockContext,
        state: State,
        infer: Infer,
        quota: int,
        interpret: Interpret = fast.interpret,
    ) -> None:
        self._context = context
        self._state = state
        self._infer = infer
        self._interpret = interpret
        self._quota_left = quota
        self.receipts: list[Receipt] = []
        self.gas_used = 0
        self.uploaded_bytes = 0

    @property
    def gas_left(self) -> int:
        return self._context.gas_limit - self.gas_used

    def apply(self, transaction: Transaction) -> Applied:
        """Apply one transaction. Raises `InvalidTransaction` if it can be in no block here, or
        `InferRuntimeError`; both leave everything as it was."""
        self._state.begin_transaction()
        before = self._state.snapshot()
        quota_left = self._quota_left
        try:
            applied = self._run(transaction)
        except Exception:
            self._state.revert(before)
            self._quota_left = quota_left
            raise
        self._state.end_transaction()
        self.gas_used = applied.receipt.cumulative_gas_used
        self.uploaded_bytes += applied.uploaded_bytes
        self.receipts.append(applied.receipt)
        return applied

    def finish(self, parent: Header, uncles: Sequence[Header] = ()) -> Totals:
        """Pay the rewards and write the state."""
        context, state = self._context, self._state
        state.begin_transaction()
        numbers = [uncle.number for uncle in uncles]
        rewards = share_rewards(context.chain, context.number, parent.supply, numbers)
        for uncle, wei in zip(uncles, rewards.uncles, strict=True):
            if wei:
                state.add_balance(uncle.coinbase, wei)
        if rewards.miner:
            state.add_balance(context.coinbase, rewards.miner)
        if rewards.minted:
            state.add_balance(*rewards.minted)
        return Totals(
            state_root=state.root(),
            receipts_root=ordered_root([receipt.encode() for receipt in self.receipts]),
            bloom=merge_blooms(receipt.bloom for receipt in self.receipts),
            gas_used=self.gas_used,
            uploaded_bytes=self.uploaded_bytes,
            supply=rewards.supply,
        )

    def _run(self, transaction: Transaction) -> Applied:
        sender = transaction.sender(self._context.chain)
        self._check_nonce(transaction, sender)
        self._reserve_quota(transaction)
        gas = self._buy_gas(transaction, sender)
        self._check_sender(transaction, sender)
        outcome = self._execute(transaction, sender, gas)
        uploaded = 0 if outcome.error else self._advance_upload(transaction)
        gas_used = self._settle(transaction, sender, outcome)
        for address in sorted(outcome.deleted):
            self._state.delete_account(address)
        return Applied(self._receipt(transaction, sender, outcome, gas_used), outcome, uploaded)

    def _check_nonce(self, transaction: Transaction, sender: bytes) -> None:
        expected = self._state.get_nonce(sender)
        detail = f"nonce {transaction.nonce}, the account is at {expected}"
        if transaction.nonce > expected or expected == MAX_NONCE:
            raise InvalidTransaction(Reason.NONCE_TOO_HIGH, detail)
        if transaction.nonce < expected:
            raise InvalidTransaction(Reason.NONCE_TOO_LOW, detail)

    def _upload_step(self, transaction: Transaction) -> int:
        """Bytes by which the transaction moves an upload on, 0 if it is none."""
        if transaction.to is None or transaction.value:
            return 0
        return min(UPLOAD_STEP_BYTES, self._state.get_upload(transaction.to))

    def _reserve_quota(self, transaction: Transaction) -> None:
        step = self._upload_step(transaction)
        if not step or transaction.to is None:
            return
        created, number = self._state.get_num(transaction.to), self._context.number
        if not 0 < created <= number - self._context.chain.seeding_blocks:
            raise InvalidTransaction(Reason.NOT_SEEDED, f"created in block {created}")
        if step > self._quota_left:
            raise InvalidTransaction(Reason.QUOTA_REACHED, f"{self._quota_left} bytes are left")
        self._quota_left -= step

    def _buy_gas(self, transaction: Transaction, sender: bytes) -> int:
        """Take the price of the whole limit; return the gas left for execution."""
        price = transaction.gas * transaction.gas_price
        if self._state.get_balance(sender) < price:
            raise InvalidTransaction(Reason.INSUFFICIENT_BALANCE, "cannot pay for the gas")
        if transaction.gas > self.gas_left:
            raise InvalidTransaction(Reason.GAS_LIMIT_REACHED, f"{self.gas_left} gas are left")
        self._state.subtract_balance(sender, price)
        gas = transaction.gas - intrinsic_gas(
            transaction.data,
            creates=transaction.to is None,
            uploads=self._upload_step(transaction) > 0,
            istanbul=self._context.chain.is_istanbul(self._context.number),
        )
        if gas < 0:
            raise InvalidTransaction(Reason.INTRINSIC_GAS, f"{-gas} gas too little to start")
        return gas

    def _check_sender(self, transaction: Transaction, sender: bytes) -> None:
        if self._state.get_balance(sender) < transaction.value:
            raise InvalidTransaction(Reason.INSUFFICIENT_BALANCE, "cannot pay the value")
        blocked_from = self._context.chain.blocked_senders.get(sender)
        if blocked_from is not None and self._context.number >= blocked_from:
            raise InvalidTransaction(Reason.BLOCKED_SENDER, sender.hex())

    def _execute(self, transaction: Transaction, sender: bytes, gas: int) -> Outcome:
        if transaction.to is not None:
            self._state.set_nonce(sender, transaction.nonce + 1)
        return execute(
            self._state,
            self._context,
            TransactionContext(origin=sender, gas_price=transaction.gas_price),
            Message(
                caller=sender,
                to=transaction.to,
                value=transaction.value,
                data=transaction.data,
                gas=gas,
            ),
            self._infer,
            self._interpret,
        )

    def _advance_upload(self, transaction: Transaction) -> int:
        step = self._upload_step(transaction)
        if not step or transaction.to is None:
            return 0
        try:
            decode_meta(self._state.get_code(transaction.to))
        except rlp.RlpError as error:
            raise InvalidTransaction(Reason.NOT_UPLOADABLE, str(error)) from error
        left = self._state.get_upload(transaction.to) - step
        self._state.set_upload(transaction.to, left)
        if left == 0:
            self._state.set_num(transaction.to, self._context.number)
        return step

    def _settle(self, transaction: Transaction, sender: bytes, outcome: Outcome) -> int:
        """Give back what was not used, pay authors and miner; return the gas used."""
        used = transaction.gas - outcome.gas_left
        used -= min(used // 2, outcome.refund)
        price = transaction.gas_price
        self._state.add_balance(sender, (transaction.gas - used) * price)
        miner_gas = used
        for author, gas in self._payable_authors(outcome).items():
            if gas > miner_gas:
                raise InvalidTransaction(Reason.AUTHOR_GAS, "authors' gas exceeds the gas used")
            self._state.add_balance(author, gas * price)
            miner_gas -= gas
        self._state.add_balance(self._context.coinbase, miner_gas * price)
        return used

    def _payable_authors(self, outcome: Outcome) -> dict[bytes, int]:
        before = self._context.chain.author_paid_on_failure_before
        forgiven = isinstance(outcome.error, OutOfGas) and self._context.number < before
        if outcome.error is not None and not forgiven:
            return {}
        return {a: gas for a, gas in outcome.author_gas.items() if gas <= AUTHOR_GAS_LIMIT}

    def _receipt(
        self, transaction: Transaction, sender: bytes, outcome: Outcome, gas_used: int
    ) -> Receipt:
        created = created_address(sender, transaction.nonce) if transaction.to is None else None
        return Receipt(
            succeeded=outcome.error is None,
            cumulative_gas_used=self.gas_used + gas_used,
            bloom=logs_bloom(outcome.logs),
            logs=outcome.logs,
            gas_used=gas_used,
            contract_address=created,
        )


def created_address(sender: bytes, nonce: int) -> bytes:
    """Where a transaction creates its contract."""
    return keccak(rlp.encode([sender, rlp.encode_int(nonce)]))[12:]


def transactions_root(transactions: Sequence[Transaction]) -> bytes:
    return ordered_root([transaction.encode() for transaction in transactions])
