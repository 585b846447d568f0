"""What the machine does where a contract's code is the metadata of a model or an input.

It does not run: a creation, or an inner call without data, makes new metadata count from this
block on and gives the code back; a creation then stores that.
"""

from __future__ import annotations

from dataclasses import replace

from node.spec import rlp
from node.spec.meta import InputMeta, ModelMeta, decode_meta
from node.spec.vm.errors import MetaInvalid
from node.spec.vm.frame import Frame
from node.spec.vm.schedule import MAX_MODEL_BYTES, MODEL_GAS_CEILING, MODEL_GAS_LIMIT


def register(frame: Frame) -> None:
    """End the frame with its metadata; raises `MetaInvalid`.

    The network tells no data from empty data: only in the outermost call does its node see the
    latter, and does nothing.
    """
    message = frame.message
    if message.to is not None and (message.data or not message.depth):
        return frame.stop()
    meta = _decode(frame.code)
    if meta.block_num:
        return frame.stop(frame.code)
    is_model = isinstance(meta, ModelMeta)
    if meta.raw_size == 0 or (is_model and meta.raw_size > MAX_MODEL_BYTES):
        raise MetaInvalid("invalid meta raw size")
    state, number = frame.machine.state, frame.machine.block.number
    state.set_upload(frame.address, meta.raw_size)
    state.set_num(frame.address, number)
    if isinstance(meta, ModelMeta) and meta.gas > MODEL_GAS_CEILING:
        meta = replace(meta, gas=MODEL_GAS_LIMIT)
    frame.stop(replace(meta, block_num=number).encode())


def _decode(code: bytes) -> ModelMeta | InputMeta:
    try:
        return decode_meta(code)
    except rlp.RlpError as error:
        raise MetaInvalid(f"rlp: {error}") from error
