"""The zoo as integer models: in the Cortex Virtual Machine's form and in the extension form."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import converted_folder, keep, onnx_file, samples
from drivers.program import Program
from farmctl.model_files import load_model, write_model
from node.lowering import lower
from node.mrt.conversion import Form, Settings, convert
from node.mrt.evaluation import quantise_input
from node.mrt.forms.numbers import SIGNED_LIMIT
from node.spec.cvm import Graph


@dataclass(frozen=True)
class Variant:
    """One way to make a net integer."""

    form: Form
    weight_bits: int = 8

    @property
    def name(self) -> str:
        return f"{self.form}-{self.weight_bits}"


OFFICIAL, EXTENSION = Variant(Form.CVM), Variant(Form.EXTENSION)
INT6 = Variant(Form.EXTENSION, 6)


def model_folder(net: Net, variant: Variant, batch: int = 1) -> Path:
    """Folder with ``symbol`` and ``params``."""
    path = converted_folder(net, f"{variant.name}-{batch}")
    return keep(path, lambda folder: _convert(net, variant, batch, folder))


def read_graph(net: Net, variant: Variant, batch: int = 1) -> Graph:
    return load_model(model_folder(net, variant, batch))


def read_program(net: Net, variant: Variant, batch: int = 1) -> Program:
    return lower(read_graph(net, variant, batch))


def _convert(net: Net, variant: Variant, batch: int, folder: Path) -> None:
    settings = Settings(
        form=variant.form,
        input_scale=_input_scale(net),
        weight_bits=variant.weight_bits,
        batch=batch,
    )
    content = onnx_file(net).read_bytes()
    found = convert(content, samples(net), settings=settings, judge=False)
    write_model(folder, found.symbol, found.parameters)


def quantise_images(net: Net, images: NDArray[np.float32]) -> NDArray[np.int32]:
    """The models' input that stands for images: int8 in int32."""
    return quantise_input(images, _input_scale(net))


@functools.cache
def _input_scale(net: Net) -> float:
    return float(np.abs(samples(net)).max()) / SIGNED_LIMIT
