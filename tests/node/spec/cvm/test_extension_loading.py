"""The extension form is read where it is allowed, and refused as before where it is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from node.chains import find_chain
from node.errors import ModelFault
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.cvm import CvmLoadError, load, load_graph, run
from node.spec.cvm.operators import OPERATORS, operators_of
from node.spec.cvm.writer import ModelWriter


def scaled_model(extended: bool = True) -> tuple[bytes, bytes]:
    writer = ModelWriter(extended=extended)
    data = writer.add_input((1, 3), 8)
    attributes = {"own": 3, "theirs": 1, "shift": 1, "low": -100, "high": 100}
    return writer.finish([writer.add("scaled_add", "s", [data, data], **attributes)])


def test_the_extension_form_runs_where_it_is_allowed():
    graph = load(*scaled_model(), extended=True)
    assert run(graph, bytes([1, 60, 256 - 60])) == bytes([2, 100, 256 - 100])
    assert graph.version == "farm_1.0.0"


def test_it_is_an_unknown_version_elsewhere():
    symbol, parameters = scaled_model()
    unknown = symbol.replace(b"farm_1.0.0", b"xyzw_1.0.0")
    faults = []
    for read in (lambda: load(symbol, parameters), lambda: load_graph(unknown)):
        with pytest.raises(CvmLoadError, match=r"none of .*1.1.0.\)$") as info:
            read()
        faults.append(info.value.logic)
    assert faults == [False, False]


def test_extension_operators_are_unknown_in_the_official_versions():
    symbol, parameters = scaled_model()
    official = symbol.replace(b"farm_1.0.0", b"cvm_1.0.0")
    with pytest.raises(CvmLoadError, match="no operator 'scaled_add'"):
        load(official, parameters, extended=True)
    with pytest.raises(CvmLoadError, match="no operator 'scaled_add'"):
        scaled_model(extended=False)


def test_the_37_stay_what_they_are():
    extended = operators_of(extended=True)
    assert operators_of(extended=False) is OPERATORS and len(OPERATORS) == 37
    assert {name for name in OPERATORS if extended[name] is not OPERATORS[name]} == {
        *("conv2d", "dense", "max_pool2d")
    }


def test_lists_of_an_extended_symbol_are_checked():
    symbol, parameters = scaled_model()
    root = json.loads(symbol)
    root["node_row_ptr"] = [0, 1, 3]
    with pytest.raises(CvmLoadError, match="node_row_ptr"):
        load(json.dumps(root).encode(), parameters, extended=True)


@pytest.mark.parametrize(
    ("chain", "allowed"), [("farmnet", True), ("mainnet", False), ("dolores", False)]
)
def test_the_chain_decides(tmp_path, chain, allowed):
    storage = DirectoryStorage(tmp_path)
    infohash = storage.put_model(*scaled_model())
    loader = GraphLoader(storage, extended=find_chain(chain).vm.extended_models)
    if allowed:
        assert loader.count_operations(infohash) == 5 * 6 + 3 * 3
        return
    for ask in (loader.load, loader.count_operations):
        with pytest.raises(ModelFault, match="version") as fault:
            ask(infohash)
        assert not fault.value.logic


def test_a_byte_beyond_int8_is_kept():
    """0…255 goes through a convolution; the official operator refuses it."""
    writer = ModelWriter(extended=True)
    data = writer.add_input((1, 1, 1, 2), 9)
    weight = writer.add_parameter("w", np.full((1, 1, 1, 2), 127, np.int32), 8)
    total = writer.add("conv2d", "c", [data, weight], channels=1, kernel_size=(1, 2),
                       use_bias=False)  # fmt: skip
    graph = load(*writer.finish([total]), extended=True)
    answer = run(graph, np.array([255, 255], "<i4").tobytes())
    assert np.frombuffer(answer, "<i4").tolist() == [2 * 255 * 127]
    assert graph.precisions[-1] == (2 * 255 * 127).bit_length() + 1
