"""From the heads' tensors to the bytes of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from node.spec.cvm.errors import CvmRunError
from node.spec.cvm.graph import Graph
from node.spec.cvm.operators.operator import Array


def encode_output(graph: Graph, heads: Sequence[Array]) -> bytes:
    """Answer in kernel form: int8 or little-endian int32 elements.

    Args:
        heads: The int32 tensor of each head of ``graph``.

    Raises:
        CvmRunError: the heads do not fit the model's postprocessing.
    """
    if graph.postprocess == "argmax":
        values = np.concatenate([_positions_of_maximum(head) for head in heads])
    elif graph.postprocess == "detection" or len(heads) > 1:
        values = _interleave(heads)
    else:
        values = heads[0].reshape(-1)
    encoded = values.astype(graph.output_type).tobytes()
    return encoded[: graph.output_bytes].ljust(graph.output_bytes, b"\0")


def _positions_of_maximum(head: Array) -> Array:
    """Where the first maximum of a row stands, compared as int8.

    The official runtime steps through the rows' *number* by the rows' *length*, so that only
    every so many rows are written; the others stay 0 at the end.
    """
    rows, length = prod(head.shape[:-1]), head.shape[-1]
    flat = head.reshape(-1).astype(np.int8)
    found = [int(flat[start : start + length].argmax()) for start in range(0, rows, length)]
    return np.array(found, np.int32)


def _interleave(heads: Sequence[Array]) -> Array:
    """Rows of all heads side by side; they must be equally many."""
    rows = {prod(head.shape[:-1]) for head in heads}
    if len(heads) < 2 or len(rows) != 1:
        raise CvmRunError("the heads cannot be joined: they have different numbers of rows")
    return np.concatenate([h.reshape(-1, h.shape[-1]) for h in heads], axis=1).reshape(-1)
