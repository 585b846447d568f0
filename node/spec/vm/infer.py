"""0xc0 and 0xc1: INFER and INFERARRAY (cortex-protocol §4).

The contract gives a model's address, an input's address or a storage slot, and the memory offset
of a ``uint256[]`` that takes the result. What the network calls checks of the price come first:
where one fails, the author's gas is counted and the frame then runs out of gas.
"""

from __future__ import annotations

from collections.abc import Callable

from node.spec import rlp
from node.spec.chain import Chain
from node.spec.crypto import keccak
from node.spec.meta import InputMeta, ModelMeta
from node.spec.vm.context import InferLogicError, KernelFault
from node.spec.vm.errors import (
    ArrayTooSmall,
    KernelLogicFailed,
    MetaInvalid,
    ModelUnusable,
    OutOfGas,
    StackUnderflow,
    VmError,
)
from node.spec.vm.frame import Frame, to_address
from node.spec.vm.schedule import (
    INFER_ARRAY_GAS,
    INFER_OPERATIONS_PER_GAS,
    MODEL_GAS_LIMIT,
)

#: Words of an input in storage: 32 MiB. The network sets no bound and would stall on more.
MAX_INPUT_WORDS = 2**20


def infer(frame: Frame) -> None:
    """INFER: model and input are metadata contracts."""
    # stack
    model_address, input_address, offset = _pop_operands(frame)
    # gas
    charge_infer(frame, to_address(model_address), to_address(input_address))
    # operation
    model = _model(frame, to_address(model_address))
    source = _input(frame, to_address(input_address))
    if model.input_shape != source.shape or 0 in model.input_shape:
        raise ModelUnusable("cvm: model and input shape not matched")

    def read() -> bytes:
        return frame.machine.infer.input_data(source.hash, source.raw_size)

    _write_result(frame, offset, _result(frame, model, source.hash.hex(), read))
    frame.stack.append(1)


def infer_array(frame: Frame) -> None:
    """INFERARRAY: the input is a ``uint256[]`` in the storage of this account."""
    # stack
    model_address, slot, offset = _pop_operands(frame)
    # gas
    charge_infer(frame, to_address(model_address), None)
    # operation
    data = _read_array(frame, slot)
    model = _model(frame, to_address(model_address))
    _write_result(frame, offset, _result(frame, model, name_content(data), lambda: data))
    frame.stack.append(1)


def charge_infer(frame: Frame, model_address: bytes, input_address: bytes | None) -> None:
    """Price the inference, count the author's share and take both from the frame."""
    failure: VmError | None = None
    gas = 0
    try:
        gas = _price(frame, model_address, input_address)
    except VmError as error:
        failure = error
    model = _model_meta(frame, model_address)
    if any(model.author):
        earned = frame.machine.author_gas
        earned[model.author] = earned.get(model.author, 0) + model.gas
    if failure is not None:
        raise OutOfGas from failure
    frame.charge(gas + model.gas)


def _pop_operands(frame: Frame) -> tuple[int, int, int]:
    """The network checks for two items only, and its node falls over where there is no third."""
    stack = frame.stack
    if len(stack) < 3:
        raise StackUnderflow(len(stack), 3)
    return stack.pop(), stack.pop(), stack.pop()


def _price(frame: Frame, model_address: bytes, input_address: bytes | None) -> int:
    model = _model(frame, model_address)
    if input_address is not None:
        _input(frame, input_address)
    try:
        operations = frame.machine.infer.operations(_infohash(frame, model), model.raw_size)
    except InferLogicError as error:
        raise KernelLogicFailed(str(error)) from error
    gas = operations // INFER_OPERATIONS_PER_GAS
    return gas if input_address is not None else max(gas, INFER_ARRAY_GAS)


def _model_meta(frame: Frame, address: bytes) -> ModelMeta:
    known = frame.machine.block.usable(address)
    if isinstance(known, ModelMeta):
        return known
    try:
        return ModelMeta.decode(frame.machine.state.get_code(address))
    except rlp.RlpError as error:
        raise MetaInvalid(str(error)) from error


def _model(frame: Frame, address: bytes) -> ModelMeta:
    """The model's metadata; raises where it may not be used in this block."""
    model = _model_meta(frame, address)
    if frame.machine.block.usable(address) is not model:
        _check_mature(frame, address)
    if model.gas > MODEL_GAS_LIMIT:
        raise ModelUnusable("the model's author asks for too much gas")
    return model


def _input(frame: Frame, address: bytes) -> InputMeta:
    known = frame.machine.block.usable(address)
    if isinstance(known, InputMeta):
        return known
    try:
        source = InputMeta.decode(frame.machine.state.get_code(address))
    except rlp.RlpError as error:
        raise MetaInvalid(str(error)) from error
    _check_mature(frame, address)
    return source


def _check_mature(frame: Frame, address: bytes) -> None:
    state, block = frame.machine.state, frame.machine.block
    if state.get_upload(address):
        raise ModelUnusable("the file is not uploaded yet")
    number = state.get_num(address)
    if number <= 0:
        raise ModelUnusable("the file was never uploaded")
    if number > block.number - block.chain.mature_blocks:
        raise ModelUnusable("the file is not mature yet")


def _infohash(frame: Frame, model: ModelMeta) -> bytes:
    return frame.machine.block.chain.replaced_models.get(model.hash, model.hash)


def name_content(data: bytes) -> str:
    """The name of an input that has no infohash, as `fixed_result` takes it."""
    return keccak(rlp.encode(data)).hex()


def fixed_result(chain: Chain, model: bytes, input_name: str) -> bytes | None:
    """The result of a model (infohash) that history made binding, if it did; an input's name is
    its infohash in hex, or that of `name_content`."""
    if not chain.fixed_results:
        return None
    key = keccak(rlp.encode(f"{model.hex()}_{input_name}".encode()))
    return chain.fixed_results.get(key)


def _result(frame: Frame, model: ModelMeta, input_name: str, read: Callable[[], bytes]) -> bytes:
    """The result that history made binding, else the engine's."""
    machine, infohash = frame.machine, _infohash(frame, model)
    fixed = fixed_result(machine.block.chain, infohash, input_name)
    if fixed is not None:
        return fixed
    try:
        return machine.infer.run(infohash, read(), model.raw_size)
    except InferLogicError as error:
        raise KernelLogicFailed from error


def _read_array(frame: Frame, slot: int) -> bytes:
    state, address = frame.machine.state, frame.address
    words = state.get_storage(address, slot) & (2**64 - 1)
    if words > MAX_INPUT_WORDS:
        raise KernelFault(f"an input of {words} words is longer than any model takes")
    start = int.from_bytes(keccak(slot.to_bytes(32, "big")), "big")
    slots = ((start + i) % 2**256 for i in range(words))
    return b"".join(state.get_storage(address, item).to_bytes(32, "big") for item in slots)


def _write_result(frame: Frame, offset: int, result: bytes) -> None:
    """Write into the array at ``offset``, which must lie in memory that has been paid for."""
    memory, offset = frame.memory, offset % 2**64
    if offset + 32 > len(memory):
        raise ModelUnusable("the array for the result is not in memory")
    size = int.from_bytes(memory[offset : offset + 32], "big") * 32
    if len(result) > size:
        raise ArrayTooSmall(len(result), size)
    if offset + 32 + size > len(memory):
        raise ModelUnusable("the array for the result is not in memory")
    memory[offset + 32 : offset + 32 + len(result)] = result
