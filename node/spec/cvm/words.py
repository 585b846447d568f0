"""The two forms of a tensor's bytes: a contract's and the kernel's.

Where a model's elements take 4 bytes, a contract holds them big-endian and the kernel
little-endian; single bytes are the same in both (cortex-protocol §4).
"""

from __future__ import annotations

import numpy as np

from node.spec.cvm.errors import CvmRunError
from node.spec.cvm.graph import Graph


def to_kernel_form(graph: Graph, data: bytes) -> bytes:
    """The kernel's input from a contract's or an input file's bytes.

    What is longer than the model's input is cut off.

    Raises:
        CvmRunError: the bytes are fewer than the model's input.
    """
    if len(data) < graph.input_bytes:
        raise CvmRunError(f"the input has {len(data)} bytes, the model needs {graph.input_bytes}")
    return _swap(data[: graph.input_bytes], graph.input_type_bytes)


def to_contract_form(graph: Graph, answer: bytes) -> bytes:
    """A contract's bytes from the kernel's answer."""
    return _swap(answer, graph.output_type_bytes)


def _swap(data: bytes, type_bytes: int) -> bytes:
    return np.frombuffer(data, "<i4").byteswap().tobytes() if type_bytes == 4 else data
