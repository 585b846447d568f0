"""From ONNX to the float network: constants taken in, batch normalisation folded away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper, shape_inference

from node.mrt.errors import MalformedOnnx, UnsupportedOperator
from node.mrt.network import Floats, Kind, Layer, Network, Pair, Window

_SAME = {"Identity", "Dropout"}


def parse_onnx(content: bytes) -> onnx.ModelProto:
    """Read and check ONNX bytes; raises `MalformedOnnx`."""
    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
        return shape_inference.infer_shapes(model)
    except (DecodeError, onnx.checker.ValidationError, shape_inference.InferenceError) as error:
        raise MalformedOnnx(f"no readable ONNX model: {error}") from error


def read_network(model: onnx.ModelProto) -> Network:
    """The float network of an ONNX model.

    Raises:
        UnsupportedOperator: names the operator and the node.
        MalformedOnnx: the model has not exactly one input, or its shape is open.
    """
    return _Reader(model.graph).read()


class _Node:
    """An ONNX node with its attributes at hand."""

    def __init__(self, proto: onnx.NodeProto) -> None:
        self.operator = proto.op_type
        self.inputs = list(proto.input)
        self.output = proto.output[0]
        self.name = proto.name or self.output
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def refuse(self, reason: str) -> UnsupportedOperator:
        return UnsupportedOperator(self.operator, self.name, reason)

    def require(self, condition: bool, reason: str) -> None:
        if not condition:
            raise self.refuse(reason)


class _Reader:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants: dict[str, Floats] = {
            each.name: np.asarray(numpy_helper.to_array(each)) for each in graph.initializer
        }
        self.aliases: dict[str, str] = {}
        self.layers: list[Layer] = []
        self.shapes = _known_shapes(graph)
        self.readers = Counter(name for node in graph.node for name in node.input)
        self.readers.update(each.name for each in graph.output)

    def read(self) -> Network:
        name, shape = self._read_input()
        for proto in self.graph.node:
            self._add(_Node(proto))
        outputs = tuple(self._resolve(each.name) for each in self.graph.output)
        consumers = Counter(each for layer in self.layers for each in layer.inputs)
        consumers.update(outputs)
        return Network(name, shape, tuple(self.layers), outputs, dict(consumers))

    def _read_input(self) -> tuple[str, tuple[int, ...]]:
        inputs = [each for each in self.graph.input if each.name not in self.constants]
        if len(inputs) != 1:
            raise MalformedOnnx(f"the model has {len(inputs)} inputs; one is supported")
        shape = self.shapes.get(inputs[0].name, ())
        if len(shape) < 2 or None in shape[1:]:
            raise MalformedOnnx(f"the input's shape {shape} must be (batch, known sizes …)")
        return inputs[0].name, tuple(size or 0 for size in shape[1:])

    def _resolve(self, name: str) -> str:
        while name in self.aliases:
            name = self.aliases[name]
        return name

    def _constant(self, node: _Node, index: int) -> Floats:
        name = self._resolve(node.inputs[index])
        node.require(name in self.constants, f"needs a constant as input {index}")
        return self.constants[name].astype(np.float64)

    def _has_input(self, node: _Node, index: int) -> bool:
        return index < len(node.inputs) and bool(node.inputs[index])

    def _add(self, node: _Node) -> None:
        if node.operator == "Constant":
            node.require("value" in node.attributes, "has no tensor value")
            self.constants[node.output] = np.asarray(numpy_helper.to_array(node.get("value", None)))
            return
        if node.operator in _SAME:
            self.aliases[node.output] = node.inputs[0]
            return
        convert = _CONVERSIONS.get(node.operator)
        if convert is None:
            raise node.refuse(f"is not supported; there are {', '.join(sorted(_CONVERSIONS))}")
        layer = convert(self, node)
        if layer is not None:
            self.layers.append(layer)

    def _layer(self, kind: Kind, node: _Node, **details: Any) -> Layer:
        names = details.pop("names", node.inputs[:1])
        return Layer(kind, node.output, tuple(self._resolve(each) for each in names), **details)

    def _fold_into_previous(self, node: _Node, scale: Floats, shift: Floats) -> bool:
        """Put ``scale · x + shift`` (by channel) into the layer that computes x, if none else
        reads it."""
        source = self._resolve(node.inputs[0])
        for index, layer in enumerate(self.layers):
            weighted = layer.kind in (Kind.CONVOLUTION, Kind.DENSE)
            if layer.name == source and weighted and self.readers[source] == 1:
                self.layers[index] = _scale_layer(layer, node.output, scale, shift)
                return True
        return False

    def convolution(self, node: _Node) -> Layer:
        weight = self._constant(node, 1)
        node.require(weight.ndim == 4, "is supported in two dimensions only")
        bias = self._constant(node, 2) if self._has_input(node, 2) else None
        window = _read_window(node, (weight.shape[2], weight.shape[3]))
        groups = int(node.get("group", 1))
        return self._layer(
            Kind.CONVOLUTION, node, weight=weight, bias=bias, window=window, groups=groups
        )

    def gemm(self, node: _Node) -> Layer:
        node.require(not node.get("transA", 0), "with transA is not supported")
        weight = self._constant(node, 1) * float(node.get("alpha", 1.0))
        weight = weight if node.get("transB", 0) else weight.T
        bias = None
        if self._has_input(node, 2):
            raw = self._constant(node, 2) * float(node.get("beta", 1.0))
            bias = np.broadcast_to(raw.reshape(-1), (len(weight),)).copy()
        return self._layer(Kind.DENSE, node, weight=weight, bias=bias)

    def matrix_product(self, node: _Node) -> Layer:
        weight = self._constant(node, 1)
        node.require(weight.ndim == 2, "is supported with a two-dimensional constant only")
        return self._layer(Kind.DENSE, node, weight=weight.T)

    def normalisation(self, node: _Node) -> None:
        scale, offset, mean, variance = (self._constant(node, index) for index in range(1, 5))
        node.require(bool((variance >= 0).all()), "has a negative variance")
        factor = scale / np.sqrt(variance + float(node.get("epsilon", 1e-5)))
        folded = self._fold_into_previous(node, factor, offset - mean * factor)
        node.require(folded, "can only be folded into a Conv or Gemm that nothing else reads")

    def addition(self, node: _Node) -> Layer | None:
        names = [self._resolve(name) for name in node.inputs]
        constants = [index for index, name in enumerate(names) if name in self.constants]
        if not constants:
            return self._layer(Kind.ADD, node, names=node.inputs)
        node.require(len(constants) == 1, "of two constants is not supported")
        offset = self._constant(node, constants[0]).reshape(-1)
        node.inputs = [node.inputs[1 - constants[0]]]
        folded = self._fold_into_previous(node, np.ones(1), offset)
        node.require(folded, "of a constant is supported after a Conv, Gemm or MatMul only")
        return None

    def relu(self, node: _Node) -> Layer:
        return self._layer(Kind.RELU, node)

    def clip(self, node: _Node) -> Layer:
        if "min" in node.attributes or "max" in node.attributes:
            low, high = node.get("min", -np.inf), node.get("max", np.inf)
        else:
            limits = [
                float(self._constant(node, index)) if self._has_input(node, index) else default
                for index, default in ((1, -np.inf), (2, np.inf))
            ]
            low, high = limits
        return self._layer(Kind.CLIP, node, bounds=(float(low), float(high)))

    def max_pool(self, node: _Node) -> Layer:
        window = _read_window(node, _pair(node, "kernel_shape", (0, 0)))
        node.require(window.dilation == (1, 1), "with dilation is not supported")
        return self._layer(Kind.MAX_POOL, node, window=window)

    def average_pool(self, node: _Node) -> Layer:
        window = _read_window(node, _pair(node, "kernel_shape", (0, 0)))
        padded = window.padding != (0, 0) and not node.get("count_include_pad", 0)
        node.require(not padded, "that leaves out its padding is not supported")
        node.require(not window.ceil, "with ceil_mode is not supported")
        return self._layer(Kind.AVERAGE_POOL, node, window=window)

    def global_average(self, node: _Node) -> Layer:
        return self._layer(Kind.GLOBAL_AVERAGE, node, shape=self._result_shape(node))

    def mean(self, node: _Node) -> Layer:
        axes = node.get("axes", None)
        if axes is None:
            axes = self._constant(node, 1).astype(int).tolist()
        rank = len(self.shapes.get(node.inputs[0], ()))
        spatial = rank == 4 and sorted(axis % 4 for axis in axes) == [2, 3]
        node.require(spatial, "is supported over height and width only")
        return self._layer(Kind.GLOBAL_AVERAGE, node, shape=self._result_shape(node))

    def concatenation(self, node: _Node) -> Layer:
        rank = len(self.shapes.get(node.output, ()))
        axis = int(node.get("axis", 1))
        axis = axis + rank if axis < 0 else axis
        node.require(axis > 0, "along the batch is not supported")
        return self._layer(Kind.CONCATENATE, node, names=node.inputs, axis=axis)

    def reshape(self, node: _Node) -> Layer:
        return self._layer(Kind.RESHAPE, node, shape=self._result_shape(node))

    def _result_shape(self, node: _Node) -> tuple[int, ...]:
        shape = self.shapes.get(node.output, ())
        node.require(len(shape) > 1 and None not in shape[1:], "has a result of unknown shape")
        return tuple(size or 0 for size in shape[1:])


_CONVERSIONS: dict[str, Callable[[_Reader, _Node], Layer | None]] = {
    "Add": _Reader.addition,
    "AveragePool": _Reader.average_pool,
    "BatchNormalization": _Reader.normalisation,
    "Clip": _Reader.clip,
    "Concat": _Reader.concatenation,
    "Conv": _Reader.convolution,
    "Flatten": _Reader.reshape,
    "Gemm": _Reader.gemm,
    "GlobalAveragePool": _Reader.global_average,
    "MatMul": _Reader.matrix_product,
    "MaxPool": _Reader.max_pool,
    "ReduceMean": _Reader.mean,
    "Relu": _Reader.relu,
    "Reshape": _Reader.reshape,
}


def _known_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int | None, ...]]:
    """Inferred shapes by tensor; None stands for a size that is open."""
    shapes = {}
    for each in (*graph.input, *graph.value_info, *graph.output):
        sizes = each.type.tensor_type.shape.dim
        shapes[each.name] = tuple(
            size.dim_value if size.HasField("dim_value") else None for size in sizes
        )
    return shapes


def _scale_layer(layer: Layer, name: str, scale: Floats, shift: Floats) -> Layer:
    assert layer.weight is not None
    channels = len(layer.weight)
    scale, shift = (np.broadcast_to(each, (channels,)) for each in (scale, shift))
    bias = np.zeros(channels) if layer.bias is None else layer.bias
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    return replace(layer, name=name, weight=weight, bias=bias * scale + shift)


def _pair(node: _Node, name: str, default: Pair) -> Pair:
    values = tuple(int(each) for each in node.get(name, default))
    node.require(len(values) == 2, f"has a {name} {values} that is not two-dimensional")
    return values[0], values[1]


def _read_window(node: _Node, size: Pair) -> Window:
    automatic = node.get("auto_pad", b"NOTSET")
    plain = automatic in (b"NOTSET", b"VALID")
    node.require(plain, f"with auto_pad {automatic!r} is not supported")
    pads = [int(each) for each in node.get("pads", [0, 0, 0, 0])]
    symmetric = len(pads) == 4 and pads[:2] == pads[2:]
    node.require(symmetric, f"with unequal padding {pads} is not supported")
    return Window(
        size=size,
        strides=_pair(node, "strides", (1, 1)),
        padding=(pads[0], pads[1]),
        dilation=_pair(node, "dilations", (1, 1)),
        ceil=bool(node.get("ceil_mode", 0)),
    )
