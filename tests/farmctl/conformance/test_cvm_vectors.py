"""The judges of the CVM's vectors: they pass what is right and fail what is not."""

from __future__ import annotations

import copy
import json

import pytest

from farmctl.conformance import cvm_models, cvm_ops, torrent_input


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


def failed(cases):
    return [f"{case.name}: {case.reason}" for case in cases if not case.passed]


def test_operators(vector_folder):
    data = read(vector_folder, "cvm_ops")
    assert not failed(cvm_ops.run(data))
    assert len(list(cvm_ops.run(data))) == len(data["cases"])
    for field, value in (
        ("output", [0]), ("ops_gas", 1), ("storage", 1), ("output_type_size", 4), ("error", "x")
    ):  # fmt: skip
        wrong = {"cases": [{**data["cases"][0], field: value}]}
        assert len(failed(cvm_ops.run(wrong))) == 1, field


def test_models(vector_folder):
    data = read(vector_folder, "cvm_models")
    assert not failed(cvm_models.run(data))
    for change in (
        {"gas_from_graph": 1}, {"inferarray_gas": 1}, {"info": {"OutputLength": 5}}
    ):  # fmt: skip
        wrong = {"cases": [{**data["cases"][0], **change}]}
        assert len(failed(cvm_models.run(wrong))) == 1, change
    for field in ("kernel_output_hex", "infer_result_hex", "infer_input_hex"):
        wrong = copy.deepcopy(data["cases"][1])
        wrong["cases"][0][field] = "00" + wrong["cases"][0][field][2:]
        assert len(failed(cvm_models.run([wrong]))) == 1, field


@pytest.mark.parametrize("field", ["infohash", "info_bencoded_hex", "data_hex"])
def test_torrents(vector_folder, field):
    (case,) = read(vector_folder, "torrent_input")
    assert not failed(torrent_input.run([case]))
    assert failed(torrent_input.run([{**case, field: "00" + case[field][2:]}]))
