"""What goes into an execution and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from node.spec.chain import Chain
from node.spec.meta import InputMeta, ModelMeta
from node.spec.types import Log
from node.spec.vm.errors import VmError


class InferLogicError(Exception):
    """The model or the input is at fault, the same on each node: the frame fails."""


class InferRuntimeError(Exception):
    """No result can be had here and now; the block or transaction cannot be processed.

    It says nothing about the transaction: it must never be recorded as a failure of it.
    """


class KernelFault(InferRuntimeError):
    """The kernel refuses this model with this input, the same on each node.

    The network calls this a runtime error too: a transaction whose outermost frame meets it
    cannot be included; an inner frame fails like any other.
    """


class Infer(Protocol):
    """Inference as the machine sees it. Hashes are 20-byte BitTorrent v1 infohashes.

    Bytes are as a contract holds them: an int8 each, or four to an int32, big-endian, where the
    model's precision is above 8 (cortex-protocol §4; ``infer_input_hex`` of cvm_models.json).
    Each method raises `InferLogicError` or `InferRuntimeError` (or `KernelFault`).
    """

    def operations(self, model: bytes, raw_size: int) -> int:
        """Number of operations of the graph, as its gas counts them."""

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        """The elements in an input's .npy file: int8, or little-endian int32."""

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        """The model's result for ``data``; surplus bytes of ``data`` are ignored."""


#: Address to the metadata of a model or input that may be used in the block, where it is known
#: without the state. None says nothing: the state decides.
Usable = Callable[[bytes], ModelMeta | InputMeta | None]


def know_nothing(address: bytes) -> None:
    """The `Usable` of who keeps no index."""


@dataclass(frozen=True)
class BlockContext:
    """The block that an execution belongs to. ``block_hash`` gives the hash of an ancestor."""

    chain: Chain
    number: int
    timestamp: int
    coinbase: bytes
    difficulty: int
    gas_limit: int
    block_hash: Callable[[int], bytes]
    usable: Usable = know_nothing


@dataclass(frozen=True)
class TransactionContext:
    origin: bytes
    gas_price: int


@dataclass(frozen=True)
class Message:
    """A call or, where ``to`` is None, a creation whose code is ``data``.

    A creation raises the caller's nonce by one; of the outermost *call* the transaction does so.
    """

    caller: bytes
    to: bytes | None
    value: int
    data: bytes
    gas: int
    code_address: bytes | None = None
    """Whose code runs; None means that of ``to``."""
    depth: int = 0
    is_static: bool = False
    moves_value: bool = True
    """False in DELEGATECALL, where ``value`` is only shown to the code."""
    salt: int | None = None
    """Of CREATE2; None means that the address follows from the caller's nonce."""


@dataclass(frozen=True)
class Outcome:
    """The end of an execution. ``error`` None means success.

    ``logs``, ``refund`` and ``deleted`` are empty after an error. ``author_gas`` is not: an
    inner failure does not take from it, and what the outermost one means is the transaction's.
    """

    gas_left: int
    output: bytes
    error: VmError | None
    logs: tuple[Log, ...] = ()
    refund: int = 0
    author_gas: Mapping[bytes, int] = field(default_factory=dict)
    deleted: frozenset[bytes] = frozenset()
    contract_address: bytes | None = None
