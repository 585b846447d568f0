"""Networks of torch: a module of this process, a file of torch.export, and what is neither."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from benchmarks.mrt.networks import Transformer
from benchmarks.mrt.training import export
from node.mrt.conversion import Form, Settings, convert
from node.mrt.errors import MalformedTorch
from node.mrt.frontend.torch_model import export_module, read_exported
from node.spec.cvm import load
from tests.support.plans import compare

EXTENSION = Settings(form=Form.EXTENSION)


@pytest.fixture(scope="module")
def transformer():
    """Two layers of width 64 with four heads, and inputs of its shape."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Transformer().eval(), np.random.default_rng(0).normal(0, 1, (48, 8, 8))


def test_a_transformer_keeps_its_answers_and_is_equal_as_layers(transformer):
    module, inputs = transformer
    content = export(module, torch.zeros(2, 8, 8))
    found = convert(content, inputs.astype(np.float32), settings=EXTENSION)
    assert found.report.sqnr_db > 33 and found.report.agreement > 0.95
    kinds = {layer.kind for layer in found.report.layers}
    assert {"softmax", "layer norm", "matrix product", "function"} <= kinds
    graph = load(found.symbol, found.parameters, extended=True)
    for data in np.random.default_rng(1).integers(-127, 128, (3, *graph.input_shape), np.int8):
        compare(graph, data.tobytes())


@pytest.mark.slow
def test_a_module_by_its_graph(transformer):
    """The other exporter writes other nodes; the layers are the same."""
    module, inputs = transformer
    content = export_module(module, torch.zeros(1, 8, 8))
    found = convert(content, inputs.astype(np.float32), settings=EXTENSION)
    assert found.report.sqnr_db > 33


def test_a_file_of_torch_export(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.SiLU(), torch.nn.Linear(4, 2))
    program = torch.export.export(network.eval(), (torch.zeros(1, 6),))
    torch.export.save(program, tmp_path / "m.pt2")
    inputs = np.random.default_rng(0).normal(0, 1, (40, 6)).astype(np.float32)
    found = convert(read_exported(tmp_path / "m.pt2"), inputs, settings=EXTENSION)
    assert found.report.sqnr_db > 30


def test_what_is_no_file_of_torch_export(tmp_path):
    (tmp_path / "m.pt2").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(MalformedTorch, match=r"m\.pt2 is no file of torch\.export"):
        read_exported(tmp_path / "m.pt2")
    with pytest.raises(MalformedTorch):
        read_exported(tmp_path / "absent.pt2")
    whole, robbed = tmp_path / "whole.pt2", tmp_path / "robbed.pt2"
    network = torch.nn.Linear(2, 2).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 2),)), whole)
    with zipfile.ZipFile(whole) as source:
        for gone in source.namelist():
            if gone.endswith(("archive_format", "weights_config.json", "model.json")):
                with zipfile.ZipFile(robbed, "w") as made:
                    for name in source.namelist():
                        made.writestr(name, b"{}" if name == gone else source.read(name))
                with pytest.raises(MalformedTorch):
                    read_exported(robbed)


class Branching(torch.nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.slow
def test_a_module_that_cannot_be_traced():
    with pytest.raises(MalformedTorch, match="torch cannot express"):
        export_module(Branching(), torch.zeros(1, 4))
