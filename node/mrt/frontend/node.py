"""An ONNX node with its attributes at hand."""

from __future__ import annotations

from typing import Any

import onnx

from node.mrt.errors import UnsupportedOperator


class Node:
    """``inputs`` are tensor names; an input that is left out is the empty name."""

    def __init__(self, proto: onnx.NodeProto) -> None:
        self.operator = proto.op_type
        self.inputs = tuple(proto.input)
        self.outputs = tuple(proto.output)
        self.name = proto.name or proto.output[0]
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def has_input(self, index: int) -> bool:
        return index < len(self.inputs) and bool(self.inputs[index])

    def refuse(self, reason: str) -> UnsupportedOperator:
        return UnsupportedOperator(self.operator, self.name, reason)

    def require(self, condition: bool, reason: str) -> None:
        if not condition:
            raise self.refuse(reason)
