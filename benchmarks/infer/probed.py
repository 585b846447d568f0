"""How each engine computes the probe's convolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.probe import CHANNELS, OUTPUTS, SIDE, SIZE, Case
from drivers.cpu.infer import InferRuns
from drivers.program import Program, Step

Answer = NDArray[np.int64]
_MEMORY_LIMIT_BYTES = 1 << 28
_OFFSET = 128
_SIDE = SIDE - SIZE + 1
_OPSET = 17


def ours(case: Case) -> Answer:
    """As a program: the input has 9 bits, and a clip shows that they are bytes without a sign."""
    image, result = (1, CHANNELS, SIDE, SIDE), (1, OUTPUTS, _SIDE, _SIDE)
    shift = {"precision": 8, "shift_bit": case.shift}
    program = Program(
        shapes=(image, case.weight.shape, image, result, result),
        precisions=(9, 8, 9, 28, 8),
        parameters={1: case.weight.astype(np.int32)},
        steps=(
            Step("clip", (0,), (2,), {"a_min": 0, "a_max": 255}),
            Step("conv2d", (2, 1), (3,), {}),
            Step("cvm_right_shift", (3,), (4,), shift),
        ),
        heads=(4,),
    )
    runs = InferRuns(_MEMORY_LIMIT_BYTES, 1)
    runs.load("probe", program)
    answer = np.frombuffer(runs.run("probe", case.image.astype("<i4").tobytes()), "<i4")
    runs.close()
    return answer.reshape(result).astype(np.int64)


def onnxruntime_answer(case: Case) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        build_onnx(case), options, providers=["CPUExecutionProvider"]
    )
    return _integers(session.run(None, {"image": case.image.astype(np.float32)})[0], case)


def openvino_answer(case: Case) -> Answer:
    import openvino

    model = openvino.Core().read_model(build_onnx(case))
    compiled = openvino.compile_model(model, "CPU")
    return _integers(compiled(case.image.astype(np.float32))[0], case)


def torch_answer(case: Case) -> Answer:
    import torch

    torch.backends.quantized.engine = "x86"
    image = torch.quantize_per_tensor(
        torch.from_numpy(case.image.astype(np.float32)), 1.0, 0, torch.quint8
    )
    ones, zeros = torch.ones(OUTPUTS), torch.zeros(OUTPUTS, dtype=torch.long)
    weight = torch.quantize_per_channel(
        torch.from_numpy(case.weight.astype(np.float32)), ones, zeros, 0, torch.qint8
    )
    packed = torch.ops.quantized.conv2d_prepack(weight, None, [1, 1], [0, 0], [1, 1], 1)
    answer = torch.ops.quantized.conv2d(image, packed, float(1 << case.shift), _OFFSET)
    return answer.int_repr().numpy().astype(np.int64) - _OFFSET


def build_onnx(case: Case) -> bytes:
    """Quantise, convolve, quantise: scales 1 and 2^shift, bytes with zeros at 0 and at 128."""
    from onnx import TensorProto, checker, helper, numpy_helper

    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "weight": case.weight.astype(np.int8),
        "ones": np.ones(OUTPUTS, np.float32),
        "zeros": np.zeros(OUTPUTS, np.int8),
        "scale": np.float32(1 << case.shift),
        "offset": np.uint8(_OFFSET),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "one", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "one", "zero"], ["values"]),
        helper.make_node("DequantizeLinear", ["weight", "ones", "zeros"], ["kernel"], axis=0),
        helper.make_node("Conv", ["values", "kernel"], ["sums"]),
        helper.make_node("QuantizeLinear", ["sums", "scale", "offset"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["rounded", "scale", "offset"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "probe",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, case.image.shape)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, (1, OUTPUTS, _SIDE, _SIDE))],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _integers(answer: NDArray[Any], case: Case) -> Answer:
    return np.rint(answer / (1 << case.shift)).astype(np.int64)


PROBED: Mapping[str, Callable[[Case], Answer]] = {
    "farmctl": ours,
    "onnxruntime": onnxruntime_answer,
    "openvino": openvino_answer,
    "torch": torch_answer,
}
