"""The inferences of transactions that wait, computed ahead of the block.

Each new transaction is executed on the head's state, and on what those before it in the same step
did there, until it asks for a result that is not known. What was asked for is computed in the
background, behind blocks, and the transaction goes on from the start when it is there. Nothing else
comes of it: the builder and the importer find results.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from node.errors import EngineUnavailable, ModelFault
from node.execution import Ancestry, Executor
from node.inference import Answer, Inference, Urgency
from node.inference.results import Key
from node.mempool import Mempool
from node.overlay import Overlay
from node.spec.crypto import keccak
from node.spec.errors import InvalidTransaction
from node.spec.state import State
from node.spec.transition import BlockTransition, block_context, quota_to_build
from node.spec.types import Header, Transaction
from node.spec.vm.context import BlockContext, InferLogicError, InferRuntimeError

#: Transactions that are looked after at once,
TRANSACTIONS = 1024
#: inferences that are asked for at once,
ASKED = 64
#: and how often one transaction is executed on one head: each time it may ask for one more.
ROUNDS = 16
#: A step ends after this long; the rest comes with the next.
STEP_SECONDS = 0.5


@dataclass
class _Candidate:
    """A transaction that asked for an inference, or has not been executed yet."""

    transaction: Transaction
    sender: bytes
    rounds: int = 0
    wants: Key | None = None
    """What it waits for."""


class _Missing(InferRuntimeError):
    """A result that is not known yet."""

    def __init__(self, model: bytes, data: bytes) -> None:
        super().__init__(f"no result yet of model {model.hex()}")
        self.model, self.data = model, data


@dataclass
class PrerunCounts:
    """Since the node's start."""

    transactions: int = 0
    """Executed ahead of their block, once or more."""
    inferences: int = 0
    """Asked for ahead of it."""
    cancelled: int = 0
    """Not wanted any more before they began."""


class Prerunner:
    """`step` is for one thread; ``on_ready`` is called from others when there is more to do.
    ``begin`` makes the header of a block on a head."""

    def __init__(
        self,
        executor: Executor,
        mempool: Mempool,
        inference: Inference,
        begin: Callable[[Header], Header],
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._executor = executor
        self._mempool = mempool
        self._inference = inference
        self._begin = begin
        self.on_ready = on_ready
        self.counts = PrerunCounts()
        self._arrival = 0
        self._head: Header | None = None
        self._new: dict[bytes, _Candidate] = {}
        """To be executed."""
        self._asking: dict[bytes, _Candidate] = {}
        """Those that asked for an inference, so that another head may have them ask another."""
        self._asked: dict[Key, Future[Answer]] = {}

    @property
    def is_waiting(self) -> bool:
        """Something was asked for and is not there yet, or was not looked at."""
        return bool(self._asked)

    def step(self, head: Header) -> bool:
        """Do what can be done now; return whether some is left to do at once."""
        self._take_new()
        if head != self._head:
            self._head = head
            for key, each in self._asking.items():
                self._new[key] = _Candidate(each.transaction, each.sender)
        self._drop_gone()
        self._wake_answered()
        if not self._new:
            return False
        self._execute(head)
        return bool(self._new) and len(self._asked) < ASKED

    def _take_new(self) -> None:
        self._arrival, came = self._mempool.since(self._arrival)
        for transaction in came:
            key = transaction.hash()
            sender = self._mempool.sender(key)
            if sender is not None and len(self._new) < TRANSACTIONS:
                self._new[key] = _Candidate(transaction, sender)

    def _drop_gone(self) -> None:
        """What left the pool is forgotten, and what it alone wanted is cancelled."""
        for table in (self._new, self._asking):
            for key in [key for key in table if key not in self._mempool]:
                del table[key]
        wanted = {each.wants for each in self._asking.values()}
        for asked in [each for each in self._asked if each not in wanted]:
            self.counts.cancelled += self._asked.pop(asked).cancel()

    def _wake_answered(self) -> None:
        ended = {key for key, future in self._asked.items() if future.done()}
        failed = {key for key in ended if _failed(self._asked[key])}
        for key, each in self._asking.items():
            if each.wants in ended:
                if each.wants not in failed and each.rounds < ROUNDS:
                    self._new[key] = each
                each.wants = None
        for done in ended:
            del self._asked[done]

    def _execute(self, head: Header) -> None:
        executor, header = self._executor, self._begin(head)
        state = State(Overlay(executor.store), head.state_root)
        context = block_context(
            executor.chain,
            header,
            Ancestry(executor.store, head),
            executor.usable(head, header.number),
        )
        quota = quota_to_build(head, executor.chain)
        deadline = time.monotonic() + STEP_SECONDS
        for key, each in sorted(self._new.items(), key=lambda item: item[1].transaction.nonce):
            if time.monotonic() > deadline or len(self._asked) >= ASKED:
                return
            del self._new[key]
            if _may_infer(each.transaction, state):
                self._try(key, each, context, state, quota)

    def _try(
        self, key: bytes, each: _Candidate, context: BlockContext, state: State, quota: int
    ) -> None:
        self.counts.transactions += not each.rounds
        each.rounds += 1
        infer = _Known(self._inference)
        transition = BlockTransition(context, state, infer, quota, self._executor.interpret)
        state.set_nonce(each.sender, each.transaction.nonce)
        try:
            transition.apply(each.transaction)
        except _Missing as missing:
            each.wants = self._ask(missing)
        except InferRuntimeError:
            pass  # its model or input may be here on another head
        except (InvalidTransaction, InferLogicError):
            return
        else:
            if not infer.found:
                return
        self._asking[key] = each

    def _ask(self, missing: _Missing) -> Key | None:
        """What it was asked for as; None where it cannot be asked for now."""
        wanted = (missing.model, keccak(missing.data))
        if wanted not in self._asked:
            try:
                asked = self._inference.prepare(missing.model, missing.data, Urgency.PRERUN)
            except (EngineUnavailable, ModelFault):
                return None
            self.counts.inferences += 1
            self._asked[wanted] = asked
            asked.add_done_callback(lambda _: self.on_ready())
        return wanted


class _Known:
    """`Infer` by results that are known."""

    def __init__(self, inference: Inference) -> None:
        self._peek = inference.peek
        self.operations = inference.operations
        self.input_data = inference.input_data
        self.found = 0

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        known = self._peek(model, data)
        if known is None:
            raise _Missing(model, data)
        self.found += 1
        return known


def _may_infer(transaction: Transaction, state: State) -> bool:
    return transaction.to is None or bool(state.get_code(transaction.to))


def _failed(asked: Future[Answer]) -> bool:
    return asked.cancelled() or asked.exception() is not None
