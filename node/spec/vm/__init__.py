"""The Cortex Virtual Machine: Ethereum's, with inference and metadata contracts.

`execute` runs one message. Sources: cortex-protocol §2 and §4, Ethereum's yellow paper, and the
vectors ``evm_op_gas``, ``infer_evm`` and ``meta_create_evm``.
"""

from node.spec.vm import fast, interpreter
from node.spec.vm.context import (
    BlockContext,
    Infer,
    InferLogicError,
    InferRuntimeError,
    KernelFault,
    Message,
    Outcome,
    TransactionContext,
)
from node.spec.vm.errors import VmError
from node.spec.vm.execution import execute
from node.spec.vm.frame import Interpret

__all__ = [
    "INTERPRETERS",
    "BlockContext",
    "Infer",
    "InferLogicError",
    "InferRuntimeError",
    "KernelFault",
    "Message",
    "Outcome",
    "TransactionContext",
    "VmError",
    "execute",
]

#: What can run the code of a frame, by name.
INTERPRETERS: dict[str, Interpret] = {
    "fast": fast.interpret,
    "readable": interpreter.interpret,
}
