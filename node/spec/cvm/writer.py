"""Writing a model: symbol and parameters that `load` accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from node.spec.cvm.attributes import parse_attributes
from node.spec.cvm.errors import require
from node.spec.cvm.operators import operators_of
from node.spec.cvm.operators.operator import Array, Operator, Shape, limit_of
from node.spec.cvm.parameters import encode_parameters
from node.spec.cvm.symbol import DATA, EXTENDED_VERSION, UNKNOWN_PRECISION, VERSIONS


@dataclass(frozen=True)
class Entry:
    """A value of the model under construction."""

    node: int
    index: int
    shape: Shape
    precision: int

    @property
    def limit(self) -> int:
        """Largest magnitude that the precision allows."""
        return limit_of(self.precision)

    @property
    def size(self) -> int:
        return prod(self.shape)


class ModelWriter:
    """Builds a model node by node; shapes and precisions are inferred on the way.

    ``extended`` writes the extension form, with its operators (docs/operators.md).
    """

    def __init__(self, *, extended: bool = False) -> None:
        self._version = EXTENDED_VERSION if extended else VERSIONS[0]
        self._operators = operators_of(extended=extended)
        self._nodes: list[dict[str, Any]] = []
        self._operator_attributes: list[str] = []
        self._shapes: list[Shape] = []
        self._precisions: list[int] = []
        self._starts = [0]
        self._parameters: dict[str, Array] = {}
        self._parameter_precisions: dict[str, int] = {}

    def add_input(self, shape: Shape, precision: int) -> Entry:
        """Add the model's input, a tensor of ``precision`` bits; it must come first."""
        return self._add_variable(DATA, shape, precision)

    def add_parameter(self, name: str, values: Array, precision: int) -> Entry:
        """Add a constant of at most ``precision`` bits."""
        self._parameters[name] = np.asarray(values, dtype=np.int32)
        self._parameter_precisions[name] = precision
        return self._add_variable(name, tuple(values.shape), precision)

    def add(self, operator: str, name: str, inputs: Sequence[Entry], **attributes: object) -> Entry:
        """Add an operator and return its first output.

        Raises:
            CvmLoadError: the operator refuses its attributes, or the shapes or precisions.
        """
        texts = {key: str(value) for key, value in attributes.items()}
        require(operator in self._operators, f"{name}: no operator {operator!r}")
        shapes, precisions = _infer(self._operators[operator], name, inputs, texts)
        self._append(
            {
                "op": "cvm_op",
                "name": name,
                "attrs": {
                    "flatten_data": "0",
                    "func_name": operator,
                    "num_inputs": str(len(inputs)),
                    "num_outputs": str(len(shapes)),
                },
                "inputs": [[entry.node, entry.index, 0] for entry in inputs],
            },
            texts,
            shapes,
        )
        self._precisions += [UNKNOWN_PRECISION] * len(shapes)
        return Entry(len(self._nodes) - 1, 0, shapes[0], precisions[0])

    def finish(self, heads: Sequence[Entry], postprocess: str = "") -> tuple[bytes, bytes]:
        """The symbol and the parameters, as bytes."""
        symbol: dict[str, Any] = {
            "nodes": self._nodes,
            "arg_nodes": [i for i, node in enumerate(self._nodes) if node["op"] == "null"],
            "heads": [[entry.node, entry.index, 0] for entry in heads],
            "attrs": self._list_attributes(),
            "version": self._version,
            "node_row_ptr": self._starts,
        }
        if postprocess:
            symbol["postprocess"] = postprocess
        parameters = encode_parameters(self._parameters, self._parameter_precisions)
        return json.dumps(symbol).encode(), parameters

    def _list_attributes(self) -> dict[str, Any]:
        count = len(self._shapes)
        return {
            "shape": ["list_shape", self._shapes],
            "storage_id": ["list_int", list(range(count))],
            "precision": ["list_int", self._precisions],
            "op_attrs": ["list_str", self._operator_attributes],
            "dltype": ["list_str", ["int32"] * count],
        }

    def _add_variable(self, name: str, shape: Shape, precision: int) -> Entry:
        self._append({"op": "null", "name": name, "inputs": []}, {}, [shape])
        self._precisions.append(precision)
        return Entry(len(self._nodes) - 1, 0, shape, precision)

    def _append(
        self, node: dict[str, Any], attributes: Mapping[str, str], shapes: Sequence[Shape]
    ) -> None:
        self._nodes.append(node)
        self._operator_attributes.append(json.dumps(attributes))
        self._shapes += shapes
        self._starts.append(self._starts[-1] + len(shapes))


def _infer(
    operator: Operator, node: str, inputs: Sequence[Entry], texts: Mapping[str, str]
) -> tuple[list[Shape], list[int]]:
    attributes = parse_attributes(operator.name, operator.fields, texts)
    given = [entry.shape for entry in inputs]
    shapes = [tuple(shape) for shape in operator.infer_shapes(attributes, given)]
    precisions = operator.infer_precisions(
        attributes, given, shapes, [entry.precision for entry in inputs]
    )
    for precision in precisions:
        require(
            0 < precision <= 32, f"{node}: {operator.name} has precision {precision}, beyond 32"
        )
    return shapes, list(precisions)
