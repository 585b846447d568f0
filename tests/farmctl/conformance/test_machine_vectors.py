"""The judges of the machine's vectors: they pass what is right and fail what is not."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from farmctl.conformance import evm_op_gas, infer_evm, meta_create_evm

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("FARMCTL_VECTORS", ROOT.parent / "shared/data/cortex"))

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"787 vectors of the machine not run: {FOLDER} is absent (set FARMCTL_VECTORS)",
)


def read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def failed(cases: Any) -> list[str]:
    return [f"{case.name}: {case.reason}" for case in cases if not case.passed]


def test_gas_of_opcodes():
    data = read("evm_op_gas")
    assert not failed(evm_op_gas.run(data))
    data["gas"]["mainnet_neo"]["01 ADD"] = "4"
    data["gas"]["mainnet_pre_istanbul"]["1b SHL"] = "3"
    assert len(failed(evm_op_gas.run(data))) == 2


def test_creation_of_metadata():
    data = read("meta_create_evm")
    assert not failed(meta_create_evm.run(data))
    for field in ("Code", "AccountRLP", "Root", "Address"):
        wrong = copy.deepcopy(data)
        wrong["cases"][0][field] = wrong["cases"][0][field][:-1] + "e"
        assert len(failed(meta_create_evm.run(wrong))) == 1, field


def test_inference():
    data, models = read("infer_evm"), read("cvm_models")
    assert not failed(infer_evm.run(data, models))
    for field, value in (("GasUsed", 1), ("Return", "00"), ("Error", "x"), ("ModelAuthorGas", {})):
        wrong = copy.deepcopy(data)
        wrong["cases"][0][field] = value
        assert len(failed(infer_evm.run(wrong, models))) == 1, field
