"""Running a model: the slow reference that every device must equal to the bit.

Values live in the storage that the model plans for them, as in the official runtime: where two
share one, the later overwrites the earlier.
"""

from __future__ import annotations

from math import prod

import numpy as np

from node.spec.cvm.errors import CvmRunError
from node.spec.cvm.graph import Graph
from node.spec.cvm.operators.operator import Array, limit_of
from node.spec.cvm.output import encode_output


def run(graph: Graph, data: bytes) -> bytes:
    """Run one input.

    Args:
        data: The input in kernel form, row-major: int8 an element, or little-endian int32 where
            the input's precision exceeds 8. It is clamped to the input's precision.

    Returns:
        The output in kernel form, postprocessed as the model says.

    Raises:
        CvmRunError: the input has the wrong length, or an operator cannot run.
    """
    return encode_output(graph, compute_heads(graph, decode_input(graph, data)))


def decode_input(graph: Graph, data: bytes) -> Array:
    """The input tensor of kernel-form bytes, clamped to its precision."""
    if len(data) != graph.input_bytes:
        raise CvmRunError(f"the input has {len(data)} bytes, not {graph.input_bytes}")
    limit = limit_of(graph.precisions[graph.input_entry])
    values = np.frombuffer(data, graph.input_type).reshape(graph.input_shape).astype(np.int32)
    return np.clip(values, -limit, limit)


def compute_heads(graph: Graph, values: Array) -> list[Array]:
    """The int32 tensor of each head for an input tensor that is already clamped."""
    entries = _plan_memory(graph)
    for entry, array in graph.parameters.items():
        entries[entry][...] = array
    entries[graph.input_entry][...] = values
    for step in graph.steps:
        step.operator.compute(
            step.attributes,
            [entries[entry] for entry in step.inputs],
            [entries[entry] for entry in step.outputs],
        )
    return [entries[head].copy() for head in graph.heads]


def _plan_memory(graph: Graph) -> list[Array]:
    """A view of its storage for each entry. Memory begins as zero."""
    storage = {number: np.zeros(size, np.int32) for number, size in graph.storage_sizes().items()}
    return [
        storage[number][: prod(shape)].reshape(shape)
        for number, shape in zip(graph.storage_ids, graph.shapes, strict=True)
    ]
