"""A call on the state after a block: what it returns, and what gas it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from node.execution import Ancestry, Headers
from node.spec.chain import Chain
from node.spec.gas import intrinsic_gas
from node.spec.state import State
from node.spec.transition import block_context
from node.spec.types import Header
from node.spec.vm import InferRuntimeError, Message, Outcome, TransactionContext, execute
from node.spec.vm.context import Infer
from node.spec.vm.errors import Reverted
from node.spec.vm.frame import Interpret

#: An estimate is exact to one part in this many.
PRECISION = 64
NO_FUNDS = "insufficient funds for gas * price + value"


@dataclass(frozen=True)
class Call:
    """What would be executed; ``gas`` None means as much as allowed."""

    sender: bytes
    to: bytes | None
    value: int
    data: bytes
    gas: int | None
    gas_price: int


@dataclass(frozen=True)
class CallResult:
    """How a call ended. ``output`` is what it returned or reverted with; ``gas`` the limit that an
    estimate found. ``error`` is empty after success."""

    output: bytes = b""
    gas: int = 0
    error: str = ""
    is_reverted: bool = False


class Caller(Protocol):
    """Executes calls on the state after a block. Both raise `NodeError`, or `MissingNode` where
    that state is not kept any more."""

    def call(self, wanted: Call, header: Header, most_gas: int) -> CallResult: ...

    def estimate(self, wanted: Call, header: Header) -> CallResult: ...

    def close(self) -> None: ...


class LocalCaller:
    """In the thread that asks, without a limit of time. ``state_at`` gives a state that may be
    written to, after a block."""

    def __init__(
        self,
        store: Headers,
        state_at: Callable[[Header], State],
        chain: Chain,
        infer: Infer,
        interpret: Interpret,
    ) -> None:
        self._store = store
        self._state = state_at
        self._chain = chain
        self._infer = infer
        self._interpret = interpret

    def close(self) -> None:
        """Nothing is open."""

    def call(self, wanted: Call, header: Header, most_gas: int) -> CallResult:
        state = self._state(header)
        gas = min(wanted.gas or most_gas, most_gas)
        affordable = _affordable_gas(wanted, state, gas)
        if affordable < (gas if wanted.gas else 0):
            return CallResult(error=NO_FUNDS)
        gas = min(gas, affordable)
        return self._execute(wanted, header, state, gas)

    def estimate(self, wanted: Call, header: Header) -> CallResult:
        """The smallest limit that succeeds: what is used or, where that is less than what is needed
        because a call keeps a part of its gas back, a limit within 1/64 of it."""
        state = self._state(header)
        start = self._start_gas(wanted, header, state)
        limit = min(wanted.gas or header.gas_limit, header.gas_limit)
        limit = _affordable_gas(wanted, state, limit)
        if limit < 0:
            return CallResult(error=NO_FUNDS)
        if limit < start:
            return CallResult(error=f"gas required exceeds allowance ({limit}): it needs {start}")
        first = self._execute(wanted, header, state, limit - start)
        if first.error:
            return first
        used = limit - first.gas

        def fails(gas: int) -> bool:
            return bool(self._execute(wanted, header, self._state(header), gas - start).error)

        return CallResult(gas=_narrow(fails, used, limit) if fails(used) else used)

    def _start_gas(self, wanted: Call, header: Header, state: State) -> int:
        uploads = bool(wanted.to and not wanted.value and state.get_upload(wanted.to))
        istanbul = self._chain.is_istanbul(header.number)
        return intrinsic_gas(wanted.data, wanted.to is None, uploads, istanbul)

    def _execute(self, wanted: Call, header: Header, state: State, gas: int) -> CallResult:
        """``gas`` of the result is what was left."""
        state.begin_transaction()
        if wanted.to is not None:
            state.set_nonce(wanted.sender, state.get_nonce(wanted.sender) + 1)
        parent = self._store.header(header.parent_hash) or header
        try:
            outcome = execute(
                state,
                block_context(self._chain, header, Ancestry(self._store, parent)),
                TransactionContext(wanted.sender, wanted.gas_price),
                Message(wanted.sender, wanted.to, wanted.value, wanted.data, gas),
                self._infer,
                self._interpret,
            )
        except InferRuntimeError as error:
            return CallResult(error=f"inference is not available: {error}")
        return _result(outcome)


def _narrow(fails: Callable[[int], bool], low: int, high: int) -> int:
    """Between a limit that fails and one that succeeds."""
    while high - low > max(1, low // PRECISION):
        # The first try is close: what was used and a little.
        middle = min((low + high) // 2, low + max(1, low // PRECISION))
        if fails(middle):
            low = middle
        else:
            high = middle
    return high


def _affordable_gas(wanted: Call, state: State, most: int) -> int:
    """At most ``most``, and what the sender can pay for; below zero where not even the value."""
    left = state.get_balance(wanted.sender) - wanted.value
    return min(most, left // wanted.gas_price if wanted.gas_price else most) if left >= 0 else -1


def _result(outcome: Outcome) -> CallResult:
    if outcome.error is None:
        return CallResult(outcome.output, outcome.gas_left)
    is_reverted = isinstance(outcome.error, Reverted)
    return CallResult(outcome.output, outcome.gas_left, str(outcome.error), is_reverted)
