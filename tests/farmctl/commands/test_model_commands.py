"""`farmctl model` from ONNX to a model that a device runs to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from farmctl.cli import build_app
from farmctl.errors import BadRequest, NotFound
from farmctl.model_files import write_model
from node.spec.cvm.writer import ModelWriter
from tests.support.cvm_models import small_model
from tests.support.digits import train_digits


def invoke(*arguments):
    return CliRunner().invoke(build_app(), ["model", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path, *small_model())
    return tmp_path


def test_convert_then_run(tmp_path):
    digits = train_digits()
    (tmp_path / "m.onnx").write_bytes(digits.onnx)
    arrays = {
        "samples": digits.training[:128],
        "evaluation": digits.images[:100],
        "labels": digits.labels[:100],
    }
    options = ["--input-scale", "1"]
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        options += [f"--{name}", tmp_path / f"{name}.npy"]
    done = invoke("convert", tmp_path / "m.onnx", tmp_path / "out", *options)
    assert done.exit_code == 0, done.output
    for word in ("convolution", "accuracy before", "accuracy after", "operations"):
        assert word in done.output
    np.save(tmp_path / "x.npy", digits.images[0].astype(np.int8))
    shown = invoke("run", tmp_path / "out", tmp_path / "x.npy")
    logits = [int(word) for word in shown.output.split()]
    assert len(logits) == 10 and np.argmax(logits) == digits.labels[0]


def test_inspect(folder):
    shown = invoke("inspect", folder)
    assert shown.exit_code == 0
    for word in ("infohash", "85", "1 dense", "yes, 2 steps"):
        assert word in shown.output


def test_verify_on_every_engine(folder):
    """The processor is one; what is absent is named with its reason."""
    done = invoke("verify", folder, "--inputs", 5)
    assert done.exit_code == 0, done.output
    assert "cpu:0: 5 of 5 equal" in done.output and "usbstick is ABSENT: " in done.output


def test_verify_fails_where_nothing_was_compared(tmp_path):
    """The reference alone runs a choice by a condition of one dimension."""
    writer = ModelWriter()
    data = writer.add_input((2, 4), 8)
    condition = writer.add_parameter("c", np.array([0, 1], np.int32), 2)
    write_model(tmp_path, *writer.finish([writer.add("where", "w", [condition, data, data])]))
    done = invoke("verify", tmp_path, "--device", "cpu:0", "--inputs", 2)
    assert isinstance(done.exception, NotFound)
    assert "cpu:0: cannot run this model" in done.output


def test_convert_in_the_extension_form_on_a_device(tmp_path):
    digits = train_digits()
    (tmp_path / "m.onnx").write_bytes(digits.onnx)
    np.save(tmp_path / "s.npy", digits.training[:64])
    done = invoke(
        "convert", tmp_path / "m.onnx", tmp_path / "out", "--samples", tmp_path / "s.npy",
        "--form", "extension", "--weight-bits", 6, "--method", "percentile", "--batch", 2,
        "--engine", "cpu:0",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "convolution + relu" in done.output and "graph hash" in done.output
    shown = invoke("inspect", tmp_path / "out", "--layers")
    for word in ("requantise", "2 × 10", "architecture hash", "if packed"):
        assert word in shown.output
    assert invoke("verify", tmp_path / "out", "--device", "cpu:0").exit_code == 0


def test_errors_say_what_is_wrong(folder, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    np.save(tmp_path / "s.npy", np.zeros((2, 3), np.float32))
    (folder / "broken").write_bytes(b"no onnx")
    for arguments, error, words in (
        (("inspect", tmp_path / "nowhere"), NotFound, "cannot read"),
        (("run", folder, tmp_path / "x.npy"), BadRequest, "must be integers"),
        (("run", folder, folder / "symbol"), BadRequest, "no .npy file"),
        (("verify", folder, "--device", "tpu:0"), BadRequest, "tpu"),
        (
            (
                "convert",
                folder / "broken",
                tmp_path / "o",
                "--samples",
                tmp_path / "s.npy",
                "--form",
                "float",
            ),
            BadRequest,
            "none of cvm, extension",
        ),
        (
            ("convert", folder / "broken", tmp_path / "o", "--samples", tmp_path / "s.npy"),
            BadRequest,
            "ONNX",
        ),
    ):
        done = invoke(*arguments)
        assert isinstance(done.exception, error), (arguments, done.exception)
        assert words in str(done.exception)
    (folder / "params").write_bytes(b"short")
    assert "parameters" in str(invoke("inspect", folder).exception)
