"""The zoo as integer models: in the Cortex Virtual Machine's form and in the extension form."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import numpy as np

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
    images = samples(net)
    limits = find_limits(FloatModel(model, network), images)
    scale = float(np.abs(images).max()) / INT8_LIMIT
    found = quantise(network, limits, scale, scaling=Scaling.MULTIPLIER, batch=batch)
    folder.mkdir()
    (folder / "symbol").write_bytes(found.symbol)
    (folder / "params").write_bytes(found.parameters)
