"""An ONNX file made plain: checked, with a fixed batch, folded, every shape known."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import shape_inference
from onnx.external_data_helper import _get_all_tensors, uses_external_data
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules.fusion._layer_norm import layer_normalization_ruleset

from node.mrt.errors import MalformedOnnx
from node.mrt.frontend.reader import find_opset
from node.mrt.frontend.rewriting import RULES

#: Opsets whose operators the reader knows.
OPSETS = range(7, 27)
#: Tensors of every size are folded: weights may be transposed or reshaped in the graph.
_FOLDED_BYTES = 1 << 31


def parse_onnx(content: bytes) -> onnx.ModelProto:
    """Read and check ONNX bytes; raises `MalformedOnnx`.

    Weights in files of their own are refused, as bytes do not say where they lie: onnx would take
    them from the folder that the process happens to be in.
    """
    try:
        model = onnx.load_from_string(content)
        if any(map(uses_external_data, _get_all_tensors(model))):
            raise MalformedOnnx("the weights are in another file; save the model as one file")
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise MalformedOnnx(f"no readable ONNX model: {error}") from error
    opset = find_opset(model)
    if opset not in OPSETS:
        raise MalformedOnnx(
            f"the model is of opset {opset}; export it with {OPSETS.start}…{OPSETS.stop - 1}"
        )
    return model


def prepare(model: onnx.ModelProto, batch: int | None = None) -> onnx.ModelProto:
    """Fix the batch (1 where it is open), fold constants, fuse known patterns, infer shapes.

    The model given is changed.

    Raises:
        MalformedOnnx: shapes contradict each other, or the batch cannot be had.
    """
    _set_batch(model, batch)
    try:
        model = shape_inference.infer_shapes(model)
        graph = ir.serde.deserialize_model(model)
        optimizer.optimize_ir(
            graph, input_size_limit=_FOLDED_BYTES, output_size_limit=_FOLDED_BYTES
        )
        rewriter.rewrite(graph, [*layer_normalization_ruleset, *RULES])
        return shape_inference.infer_shapes(ir.serde.serialize_model(graph))
    except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise MalformedOnnx(f"the model's shapes do not fit: {error}") from error


def _set_batch(model: onnx.ModelProto, batch: int | None) -> None:
    constants = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    if len(inputs) != 1:
        raise MalformedOnnx(f"the model has {len(inputs)} inputs; one is supported")
    sizes = inputs[0].type.tensor_type.shape.dim
    if len(sizes) < 2 or not all(size.dim_value > 0 for size in sizes[1:]):
        raise MalformedOnnx("the input's shape must be (batch, known sizes …)")
    fixed = sizes[0].dim_value
    if fixed > 0 and batch not in (None, fixed):
        raise MalformedOnnx(
            f"the model is for batches of {fixed}, not {batch}; export it with an open batch"
        )
    sizes[0].dim_value = fixed or batch or 1
    if not fixed:
        del model.graph.value_info[:]  # of the open batch
        for each in model.graph.output:
            each.type.tensor_type.ClearField("shape")
