"""Why a frame fails.

    VmError                     the frame ends; its effects and its gas are lost
    ├── Reverted                … but the gas that is left goes back to the caller
    ├── OutOfGas  StackUnderflow  StackOverflow  InvalidOpcode  InvalidJump
    ├── WriteProtection  ReturnDataOutOfBounds  DepthExceeded  InsufficientBalance
    ├── AddressCollision  NonceOverflow  CodeTooLarge  CodeDepositOutOfGas
    ├── PrecompileFailed
    └── MetaInvalid  ModelUnusable  ArrayTooSmall  KernelLogicFailed

The texts are those of the network's own node where it has one.
"""

from __future__ import annotations


class VmError(Exception):
    """A frame failed; its effects are undone and its gas is gone."""

    text = "execution failed"

    def __init__(self, text: str = "") -> None:
        super().__init__(text or self.text)


class Reverted(VmError):
    text = "execution reverted"


class OutOfGas(VmError):
    text = "out of gas"


class StackUnderflow(VmError):
    def __init__(self, held: int, needed: int) -> None:
        super().__init__(f"stack underflow ({held} <=> {needed})")


class StackOverflow(VmError):
    def __init__(self, held: int, limit: int) -> None:
        super().__init__(f"stack limit reached {held} ({limit})")


class InvalidOpcode(VmError):
    def __init__(self, opcode: int) -> None:
        self.opcode = opcode
        super().__init__(f"invalid opcode: opcode {opcode:#x}")


class InvalidJump(VmError):
    text = "invalid jump destination"


class WriteProtection(VmError):
    text = "write protection"


class ReturnDataOutOfBounds(VmError):
    text = "return data out of bounds"


class DepthExceeded(VmError):
    text = "max call depth exceeded"


class InsufficientBalance(VmError):
    text = "insufficient balance for transfer"


class AddressCollision(VmError):
    text = "contract address collision"


class NonceOverflow(VmError):
    text = "nonce uint64 overflow"


class CodeTooLarge(VmError):
    text = "max code size exceeded"


class CodeDepositOutOfGas(VmError):
    text = "contract creation code storage out of gas"


class PrecompileFailed(VmError):
    text = "precompiled contract refused its input"


class MetaInvalid(VmError):
    """The metadata of a model or an input does not decode, or its size is not allowed."""

    text = "invalid meta"


class ModelUnusable(VmError):
    """A model or an input may not be inferred with, or the two do not fit together."""

    text = "model unusable"


class ArrayTooSmall(VmError):
    def __init__(self, result_bytes: int, array_bytes: int) -> None:
        super().__init__(f"solidity memory bytes length not match {result_bytes} != {array_bytes}")


class KernelLogicFailed(VmError):
    text = "cvm kernel logic error"
