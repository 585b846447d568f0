"""Small ONNX networks, written as lists of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper, shape_inference

#: Operator, inputs, output (or several, between blanks), attributes.
NodeText = tuple[str, Sequence[str], str, Mapping[str, Any]]


def write_onnx(
    nodes: Sequence[NodeText],
    constants: Mapping[str, NDArray[Any]],
    shape: Sequence[int],
    *,
    output: str = "y",
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """A network from ``x`` of (n, *shape) to ``y``."""
    made = [
        helper.make_node(
            operator, inputs, results.split(), name=f"node_{results.split()[0]}", **attributes
        )
        for operator, inputs, results, attributes in nodes
    ]
    used = {name for node in made for name in node.input}
    graph = helper.make_graph(
        made,
        "test",
        [helper.make_tensor_value_info("x", kind, ["n", *shape])],
        [ValueInfoProto(name=output)],
        [numpy_helper.from_array(v, name) for name, v in constants.items() if name in used],
    )
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return shape_inference.infer_shapes(model).SerializeToString()
