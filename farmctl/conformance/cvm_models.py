"""Whole models: sizes, gas, answers at the kernel and at the contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from farmctl.conformance._engine import Engine
from node.spec import cvm
from node.spec.cvm.words import to_contract_form, to_kernel_form
from node.spec.vm.schedule import INFER_ARRAY_GAS, INFER_OPERATIONS_PER_GAS


def run(data: Any, engine: Engine = cvm.run) -> Iterable[Case]:
    """Figures, and answers by ``engine``."""
    models = data["cases"] if isinstance(data, dict) else data
    for model in models:
        name = model.get("name", "?")
        yield judge(f"{name} figures", partial(_check_figures, model))
        for number, each in enumerate(model.get("cases", [])):
            yield judge(f"{name} {number}", partial(_check_inference, model, each, engine))


def _symbol(model: dict[str, Any]) -> bytes:
    return str(model["symbol"]).encode()


def _load(model: dict[str, Any]) -> cvm.Graph:
    return cvm.load(_symbol(model), unhex(model["params_hex"]))


def _check_figures(model: dict[str, Any]) -> Iterator[str]:
    graph = _load(model)
    operations = graph.operations()
    info = {
        "InputLength": graph.input_bytes,
        "OutputLength": graph.output_bytes,
        "InputTypeSize": graph.input_type_bytes,
        "OutputTypeSize": graph.output_type_bytes,
        "StorageSize": graph.storage_bytes(),
        "GasFromModel": operations,
    }
    for key, expected in model.get("info", {}).items():
        yield from differs(key, integer(expected), info.get(key))
    gas = operations // INFER_OPERATIONS_PER_GAS
    for key, actual in (
        ("gas_from_graph", cvm.load_graph(_symbol(model)).operations()),
        ("infer_gas", gas),
        ("inferarray_gas", max(INFER_ARRAY_GAS, gas)),
    ):
        if key in model:
            yield from differs(key, integer(model[key]), actual)


def _check_inference(model: dict[str, Any], case: dict[str, Any], engine: Engine) -> Iterator[str]:
    graph = _load(model)
    kernel_input = unhex(case["kernel_input_hex"])
    answer = engine(graph, kernel_input)
    yield from differs("kernel output", unhex(case["kernel_output_hex"]), answer)
    if "infer_input_hex" in case:
        converted = to_kernel_form(graph, unhex(case["infer_input_hex"]))
        yield from differs("kernel input of the contract's", kernel_input, converted)
    if "infer_result_hex" in case:
        result = to_contract_form(graph, answer)
        yield from differs("result in the contract", unhex(case["infer_result_hex"]), result)
