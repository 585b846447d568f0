"""Runs a message and all that it calls, on a stack of its own rather than Python's."""

from __future__ import annotations

from dataclasses import dataclass

from node.spec import rlp
from node.spec.crypto import EMPTY_CODE_HASH, EMPTY_ROOT, keccak
from node.spec.meta import is_input, is_model
from node.spec.state import State
from node.spec.vm import fast
from node.spec.vm.context import (
    BlockContext,
    Infer,
    KernelFault,
    Message,
    Outcome,
    TransactionContext,
)
from node.spec.vm.errors import (
    AddressCollision,
    CodeDepositOutOfGas,
    CodeTooLarge,
    DepthExceeded,
    InsufficientBalance,
    KernelLogicFailed,
    NonceOverflow,
    OutOfGas,
    Reverted,
    VmError,
)
from node.spec.vm.frame import Frame, Interpret, Machine
from node.spec.vm.metadata import register
from node.spec.vm.precompiles import Precompile, precompiles
from node.spec.vm.schedule import CALL_DEPTH_LIMIT, MAX_CODE_BYTES, schedule_at

MAX_NONCE = 2**64 - 1
PLAIN_CODE_PREFIX = b"\0\0"


@dataclass(frozen=True)
class Ending:
    """How a frame, or a message that got none, ended."""

    gas_left: int
    output: bytes = b""
    error: VmError | None = None
    created: bytes | None = None


def execute(
    state: State,
    block: BlockContext,
    transaction: TransactionContext,
    message: Message,
    infer: Infer,
    interpret: Interpret = fast.interpret,
) -> Outcome:
    """Run a message on ``state`` and undo its effects if it fails.

    ``interpret`` runs the code of each frame: `fast.interpret` or `interpreter.interpret`.

    Raises `InferRuntimeError` where an inference has no answer; the state is then to be thrown
    away. A message whose value the caller does not have is refused with its gas left.
    """
    schedule = schedule_at(block.chain, block.number)
    machine = Machine(state, block, transaction, infer, schedule, interpret)
    ending = _run_message(machine, message)
    return Outcome(
        gas_left=ending.gas_left,
        output=ending.output,
        error=ending.error,
        logs=tuple(machine.logs),
        refund=machine.refund,
        author_gas=machine.author_gas,
        deleted=frozenset(machine.deleted),
        contract_address=ending.created,
    )


def _run_message(machine: Machine, message: Message) -> Ending:
    callers: list[Frame] = []
    step = _begin(machine, message)
    while True:
        if isinstance(step, Frame):
            request = _run(step)
            if request is not None:
                callers.append(step)
                step = _begin(machine, request)
                continue
            step = _finish(step)
        if not callers:
            return step
        caller = callers.pop()
        _resume(caller, step)
        step = caller


def _run(frame: Frame) -> Message | None:
    """Run until the frame calls (its message is returned) or ends (None)."""
    try:
        if _is_meta(frame):
            register(frame)
            return None
        return frame.machine.interpret(frame)
    except KernelFault as fault:
        if not frame.message.depth:
            raise
        frame.error = KernelLogicFailed(str(fault))
    except VmError as error:
        frame.error = error
    return None


def _begin(machine: Machine, message: Message) -> Frame | Ending:
    """Check a message and move its value; its frame, or its ending where it needs none."""
    if message.depth > CALL_DEPTH_LIMIT:
        return Ending(message.gas, error=DepthExceeded())
    if message.moves_value and machine.state.get_balance(message.caller) < message.value:
        return Ending(message.gas, error=InsufficientBalance())
    if message.to is None:
        return _begin_creation(machine, message)
    return _begin_call(machine, message, message.to)


def _begin_call(machine: Machine, message: Message, to: bytes) -> Frame | Ending:
    state, source = machine.state, message.code_address or to
    precompile = precompiles(machine.schedule.istanbul).get(source)
    mark = machine.mark()
    if message.moves_value:
        if not (message.value or precompile or message.is_static or state.exists(to)):
            return Ending(message.gas)
        _move_value(state, message.caller, to, message.value)
    code = state.get_code(source)
    if precompile is None:
        return Frame(machine, message, to, _strip_prefix(machine, code), mark)
    ending = _run_precompile(precompile, message)
    if ending.error is not None:
        machine.undo(mark)
    return ending


def _begin_creation(machine: Machine, message: Message) -> Frame | Ending:
    state = machine.state
    nonce = state.get_nonce(message.caller)
    if nonce >= MAX_NONCE:
        return Ending(message.gas, error=NonceOverflow())
    state.set_nonce(message.caller, nonce + 1)
    address = _created_address(message, nonce)
    if _is_occupied(state, address):
        return Ending(0, error=AddressCollision())
    mark = machine.mark()
    state.create_account(address)
    state.set_nonce(address, 1)
    _move_value(state, message.caller, address, message.value)
    return Frame(machine, message, address, _strip_prefix(machine, message.data), mark)


def _is_occupied(state: State, address: bytes) -> bool:
    account = state.account(address)
    if account is None:
        return False
    has_code = account.code_hash != EMPTY_CODE_HASH
    return has_code or account.nonce > 0 or account.storage_root != EMPTY_ROOT


def _finish(frame: Frame) -> Ending:
    """Store what a creation made; undo everything after an error."""
    if frame.error is None and frame.message.to is None:
        _deposit_code(frame)
    if frame.error is None:
        created = frame.address if frame.message.to is None else None
        return Ending(frame.gas, frame.output, created=created)
    frame.machine.undo(frame.mark)
    if isinstance(frame.error, Reverted):
        return Ending(frame.gas, frame.output, frame.error)
    return Ending(0, error=frame.error)


def _resume(frame: Frame, ending: Ending) -> None:
    """Give a frame the result of its call."""
    frame.gas += ending.gas_left
    is_answered = ending.error is None or isinstance(ending.error, Reverted)
    if frame.return_area is None:
        frame.stack.append(int.from_bytes(ending.created or b"", "big"))
        frame.return_data = ending.output if ending.error is not None else b""
        return
    frame.stack.append(int(ending.error is None))
    frame.return_data = ending.output
    offset, size = frame.return_area
    if is_answered:
        copied = ending.output[:size]
        frame.memory[offset : offset + len(copied)] = copied


def _deposit_code(frame: Frame) -> None:
    code, machine = frame.output, frame.machine
    price = machine.schedule.parameters.code_deposit_gas * len(code)
    if len(code) > MAX_CODE_BYTES:
        frame.error = CodeTooLarge()
    elif price > frame.gas:
        frame.error = CodeDepositOutOfGas()
    elif code:
        frame.gas -= price
        machine.state.set_code(frame.address, code)


def _run_precompile(precompile: Precompile, message: Message) -> Ending:
    gas_left = message.gas - precompile.gas(message.data)
    if gas_left < 0:
        return Ending(0, error=OutOfGas())
    try:
        return Ending(gas_left, precompile.run(message.data))
    except VmError as error:
        return Ending(0, error=error)


def _move_value(state: State, sender: bytes, receiver: bytes, wei: int) -> None:
    if wei:
        state.subtract_balance(sender, wei)
    state.add_balance(receiver, wei)


def _created_address(message: Message, nonce: int) -> bytes:
    if message.salt is None:
        return keccak(rlp.encode([message.caller, rlp.encode_int(nonce)]))[12:]
    salt = message.salt.to_bytes(32, "big")
    return keccak(b"\xff" + message.caller + salt + keccak(message.data))[12:]


def _is_meta(frame: Frame) -> bool:
    has_inference = frame.machine.schedule.parameters.inference
    return has_inference and (is_model(frame.code) or is_input(frame.code))


def _strip_prefix(machine: Machine, code: bytes) -> bytes:
    """Plain code may say so in two zero bytes; positions count behind them."""
    has_prefix = machine.schedule.parameters.inference and code[:2] == PLAIN_CODE_PREFIX
    return code[2:] if has_prefix else code
