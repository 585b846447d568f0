"""The zoo as integer models: in the Cortex Virtual Machine's form and in the extension form."""

from __future__ import annotations

import functools
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import converted_folder, keep, onnx_file, samples
from drivers.program import Program
from node.lowering import lower
from node.mrt.calibration import FloatModel, find_limits
from node.mrt.onnx_reader import parse_onnx, read_network
from node.mrt.quantisation import INT8_LIMIT, Scaling, quantise
from node.spec.cvm import Graph, load


class Form(StrEnum):
    CVM = "cvm"


def model_folder(net: Net, form: Form, batch: int = 1) -> Path:
    """Folder with ``symbol`` and ``params``."""
    name = f"{form}-{batch}"
    return keep(converted_folder(net, name), lambda folder: _convert(net, batch, folder))


def read_graph(net: Net, form: Form, batch: int = 1) -> Graph:
    folder = model_folder(net, form, batch)
    return load((folder / "symbol").read_bytes(), (folder / "params").read_bytes())


def read_program(net: Net, form: Form, batch: int = 1) -> Program:
    return lower(read_graph(net, form, batch))


def _convert(net: Net, batch: int, folder: Path) -> None:
    model = parse_onnx(onnx_file(net).read_bytes())
    network = read_network(model)
    limits = find_limits(FloatModel(model, network), samples(net))
    found = quantise(network, limits, _input_scale(net), scaling=Scaling.SHIFT, batch=batch)
    folder.mkdir()
    (folder / "symbol").write_bytes(found.symbol)
    (folder / "params").write_bytes(found.parameters)


def quantise_images(net: Net, images: NDArray[np.float32]) -> NDArray[np.int32]:
    """The models' input that stands for images: int8 in int32."""
    steps = np.rint(images / _input_scale(net))
    return np.clip(steps, -INT8_LIMIT, INT8_LIMIT).astype("<i4")


@functools.cache
def _input_scale(net: Net) -> float:
    return float(np.abs(samples(net)).max()) / INT8_LIMIT
