"""What a model is, whatever its nodes are called and in whichever order they stand.

The hashes are Merkle hashes over the graph from its heads down, so names, order and dead nodes do
not count; the order of the operands does only where it matters. The weights are taken in the order
of that walk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.spec.cvm import Graph
from node.spec.cvm.graph import Step

Weights = NDArray[np.int32]

COMMUTATIVE = frozenset({"elemwise_add", "broadcast_add", "broadcast_mul", "broadcast_max"})
#: Operators that only fit a precision: another training sets other bits.
FITTING = frozenset({"cvm_right_shift", "cvm_left_shift", "cvm_clip", "clip", "requantise"})
#: Operators whose attributes only fit a precision.
FITTED = frozenset({"scaled_add", "layer_norm", "softmax"})
#: Operators whose second operand is a table that only fits a precision.
TABLED = frozenset({"softmax"})
#: Attributes that go with the operands, in their order.
FACTORS = {"scaled_add": ("own", "theirs")}
#: Quantiles of a tensor's magnitudes in its sketch.
QUANTILES = 16


@dataclass(frozen=True)
class Tensor:
    """A constant of two or more dimensions: rows are output channels."""

    name: str
    rows: Weights
    """(channels, all else)."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Fingerprint:
    """A model without its names."""

    structure: bytes
    """32 bytes: operators, attributes, shapes and precisions."""
    architecture: bytes
    """32 bytes: the same without precisions and without what only fits them."""
    weights_hash: bytes
    """32 bytes: every constant, in the order of the walk."""
    tensors: tuple[Tensor, ...]
    """Constants of two or more dimensions, in the order of the walk."""

    @cached_property
    def sketch(self) -> NDArray[np.float32]:
        """(tensors, quantiles): the sorted magnitudes of each, over their mean square."""
        rows = [_sketch_tensor(tensor.rows) for tensor in self.tensors]
        return np.array(rows, np.float32).reshape(len(rows), QUANTILES)

    @property
    def parameter_count(self) -> int:
        return sum(tensor.rows.size for tensor in self.tensors)


def fingerprint(graph: Graph) -> Fingerprint:
    """Of a loaded model, parameters included."""
    names = {entry: name for name, entry in graph.variables.items()}
    walk = _Walk(graph)
    order = walk.parameters()
    content = hashlib.sha256()
    for entry in order:
        values = graph.parameters[entry]
        content.update(str(values.shape).encode() + np.ascontiguousarray(values, "<i4").tobytes())
    tensors = tuple(
        Tensor(names[entry], values.reshape(values.shape[0], -1), values.shape)
        for entry in order
        if (values := graph.parameters[entry]).ndim > 1 and values.shape[0] > 1
    )
    return Fingerprint(
        walk.hash_heads(exact=True), walk.hash_heads(exact=False), content.digest(), tensors
    )


def _sketch_tensor(values: Weights) -> NDArray[np.float64]:
    sizes = np.abs(values.astype(np.float64)).ravel()
    scale = np.sqrt(np.mean(sizes**2)) or 1.0
    found: NDArray[np.float64] = np.quantile(sizes, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    return found / scale


class _Walk:
    """From the heads down, each entry once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._makers = {entry: step for step in graph.steps for entry in step.outputs}
        self._hashes: dict[tuple[int, bool], bytes] = {}

    def hash_heads(self, exact: bool) -> bytes:
        for step in self._graph.steps:  # in order, so that no walk is deep
            for entry in step.outputs:
                self._hash(entry, exact)
        heads = b"".join(self._hash(entry, exact) for entry in self._graph.heads)
        return hashlib.sha256(self._graph.postprocess.encode() + b"\0" + heads).digest()

    def parameters(self) -> list[int]:
        """Entries of the constants in use, in an order that names do not change."""
        self.hash_heads(exact=True)
        found: dict[int, None] = {}
        seen: set[int] = set()
        stack = list(reversed(self._graph.heads))
        while stack:
            entry = stack.pop()
            if entry in seen:
                continue
            seen.add(entry)
            if entry in self._graph.parameters:
                found[entry] = None
            step = self._makers.get(entry)
            stack += reversed(self._inputs(step)) if step else ()
        return list(found)

    def _inputs(self, step: Step) -> list[int]:
        inputs = list(step.inputs)
        if step.operator.name in COMMUTATIVE or step.operator.name in FACTORS:
            inputs.sort(key=lambda entry: self._hash(entry, True))
        return inputs

    def _hash(self, entry: int, exact: bool) -> bytes:
        key = (entry, exact)
        if key not in self._hashes:
            step = self._makers.get(entry)
            if step is None:
                self._hashes[key] = self._hash_variable(entry, exact)
            elif step.operator.name == "identity" or (not exact and step.operator.name in FITTING):
                self._hashes[key] = self._hash(step.inputs[0], exact)
            else:
                self._hashes[key] = self._hash_step(entry, step, exact)
        return self._hashes[key]

    def _hash_variable(self, entry: int, exact: bool) -> bytes:
        graph = self._graph
        kind = "constant" if entry in graph.parameters else "input"
        precision = graph.precisions[entry] if exact else 0
        return _digest(kind, graph.shapes[entry], precision)

    def _hash_step(self, entry: int, step: Step, exact: bool) -> bytes:
        name = step.operator.name
        read = step.inputs[:1] if not exact and name in TABLED else step.inputs
        inputs = [self._hash(each, exact) for each in read]
        values = {} if not exact and name in FITTED else dict(step.attributes.values)
        if name in FACTORS:
            inputs, values = _sort_terms(inputs, values, FACTORS[name])
        elif name in COMMUTATIVE:
            inputs.sort()
        attributes = sorted((name, str(value)) for name, value in values.items())
        return _digest(name, attributes, step.outputs.index(entry), inputs)


def _sort_terms(
    inputs: list[bytes], values: dict[str, Any], factors: tuple[str, ...]
) -> tuple[list[bytes], dict[str, Any]]:
    """The terms of a sum with their factors, in an order of their own."""
    terms = sorted(zip(inputs, (values.pop(name, 0) for name in factors), strict=True))
    return [term for term, _ in terms], values | {"factors": [factor for _, factor in terms]}


def _digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()
