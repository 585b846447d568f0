"""From prepared ONNX to the float network: one layer, or few, for each node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from node.mrt.errors import MalformedOnnx
from node.mrt.frontend.node import Node
from node.mrt.layers import Floats, Identity, Layer, Shape
from node.mrt.network import Network

Convert = Callable[["Reader", Node], Iterable[Layer]]
CONVERSIONS: dict[str, Convert] = {}
#: What comes of attributes and constants that are of another form than the operator's.
_ODD = (IndexError, OverflowError, TypeError, ValueError, ZeroDivisionError)
_REAL = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


def converts(*operators: str) -> Callable[[Convert], Convert]:
    """Registers a function for ONNX operators."""

    def register(function: Convert) -> Convert:
        for operator in operators:
            CONVERSIONS[operator] = function
        return function

    return register


class Reader:
    """What conversions of nodes ask: the opset, shapes and constants."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.opset = find_opset(model)
        self.graph = graph = model.graph
        self.constants = {each.name: _read_tensor(each.name, each) for each in graph.initializer}
        tensors = (*graph.input, *graph.value_info, *graph.output)
        self.shapes = _known_shapes(tensors)
        self.types = {each.name: each.type.tensor_type.elem_type for each in tensors}

    def read(self) -> Network:
        """Raises UnsupportedOperator or MalformedOnnx."""
        inputs = [each.name for each in self.graph.input if each.name not in self.constants]
        layers: list[Layer] = []
        nodes: dict[str, str] = {inputs[0]: ""}
        for proto in self.graph.node:
            node = Node(proto)
            if node.operator == "Constant":
                self._keep_constant(node, proto)
            else:
                for layer in self._convert(node):
                    unknown = [name for name in layer.inputs if name not in nodes]
                    node.require(not unknown, f"of constants {unknown} is not supported")
                    nodes[layer.name] = node.name
                    layers.append(layer)
        outputs = [each.name for each in self.graph.output]
        made = {layer.name for layer in layers}
        missing = [name for name in outputs if name not in made]
        if missing or not outputs:
            raise MalformedOnnx(f"the outputs {missing} depend on no layer")
        shape = self.shapes[inputs[0]]
        return Network(inputs[0], shape, tuple(layers), tuple(outputs), nodes)

    def _keep_constant(self, node: Node, proto: onnx.NodeProto) -> None:
        for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
            if name in node.attributes:
                value = node.attributes[name]
                tensor = _read_tensor(node.name, value) if name == "value" else np.array(value)
                self.constants[proto.output[0]] = tensor
                return
        raise node.refuse("has no number as its value")

    def _convert(self, node: Node) -> Iterable[Layer]:
        convert = CONVERSIONS.get(node.operator)
        if convert is None:
            raise node.refuse(f"is not supported; there are {', '.join(sorted(CONVERSIONS))}")
        try:
            return list(convert(self, node))
        except _ODD as error:
            raise MalformedOnnx(f"node {node.name!r}: {node.operator}: {error}") from error

    # --- what conversions ask

    def is_constant(self, node: Node, index: int) -> bool:
        return node.has_input(index) and node.inputs[index] in self.constants

    def constant(self, node: Node, index: int) -> Floats:
        """Constant input as float32."""
        node.require(self.is_constant(node, index), f"needs a constant as input {index}")
        return self.constants[node.inputs[index]].astype(np.float32, copy=False)

    def integers(self, node: Node, index: int, attribute: str) -> Shape | None:
        """Integers that are an attribute in older opsets and an input in newer ones."""
        if attribute in node.attributes:
            value = node.attributes[attribute]
            return tuple(int(each) for each in np.atleast_1d(value))
        if not node.has_input(index):
            return None
        node.require(self.is_constant(node, index), f"needs a constant as input {index}")
        return tuple(int(each) for each in np.atleast_1d(self.constants[node.inputs[index]]))

    def shape(self, node: Node, name: str) -> Shape:
        shape = self.shapes.get(name)
        if shape is None or 0 in shape:
            raise node.refuse(f"has a tensor {name!r} of unknown shape, or an empty one")
        return shape

    def input_shape(self, node: Node, index: int = 0) -> Shape:
        if self.is_constant(node, index):
            return tuple(self.constants[node.inputs[index]].shape)
        return self.shape(node, node.inputs[index])

    def output_shape(self, node: Node) -> Shape:
        return self.shape(node, node.outputs[0])

    def base(self, node: Node, *inputs: str) -> tuple[str, tuple[str, ...], Shape]:
        """Name, inputs and shape of the layer that computes the node's first output."""
        return node.outputs[0], inputs or node.inputs[:1], self.output_shape(node)


def _read_tensor(name: str, tensor: onnx.TensorProto) -> NDArray[Any]:
    try:
        return numpy_helper.to_array(tensor)
    except _ODD as error:
        raise MalformedOnnx(f"the constant {name!r}: {error}") from error


def find_opset(model: onnx.ModelProto) -> int:
    """Version of ONNX's own operators; 0 where the model does not say."""
    return max((each.version for each in model.opset_import if not each.domain), default=0)


def read_network(model: onnx.ModelProto) -> Network:
    """The float network of a prepared model.

    Raises:
        UnsupportedOperator: names the operator and the node.
        MalformedOnnx: an output depends on no layer.
    """
    from node.mrt.frontend import attention, elementwise, shaping, weighted, windows

    assert all((attention, elementwise, shaping, weighted, windows))
    return Reader(model).read()


@converts("Identity", "Dropout")
def read_identity(reader: Reader, node: Node) -> Iterable[Layer]:
    yield Identity(*reader.base(node))


@converts("Cast")
def read_cast(reader: Reader, node: Node) -> Iterable[Layer]:
    """What changes no number."""
    cuts = reader.types.get(node.inputs[0]) in _REAL and node.get("to", None) not in _REAL
    node.require(not cuts, "of real to whole numbers is not supported")
    yield Identity(*reader.base(node))


def _known_shapes(tensors: Iterable[onnx.ValueInfoProto]) -> dict[str, Shape]:
    """Shapes that are known whole, by tensor."""
    shapes = {}
    for each in tensors:
        tensor = each.type.tensor_type
        sizes = tensor.shape.dim
        if tensor.HasField("shape") and all(size.HasField("dim_value") for size in sizes):
            shapes[each.name] = tuple(int(size.dim_value) for size in sizes)
    return shapes
