"""Single operators of the CVM: result, shapes, gas, storage, or the error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from farmctl.conformance import Case, differs, integer, judge
from farmctl.conformance._engine import Engine
from node.spec import cvm
from node.spec.cvm import CvmLoadError, CvmRunError, Graph
from node.spec.cvm.parameters import encode_parameters

_CODES = {True: 1, False: 2}
"""rc of the official runtime by `CvmError.logic`."""


def _check(case: dict[str, Any], engine: Engine) -> Iterator[str]:
    """Build the model of one operator from the case and compare everything it states."""
    expected_error = case.get("error")
    try:
        graph = cvm.load(*build_model(case))
    except CvmLoadError as error:
        yield from differs(f"outcome ({error})", expected_error, f"load rc={_CODES[error.logic]}")
        return
    try:
        answer = engine(graph, encode_input(case, graph))
    except CvmRunError as error:
        yield from differs(f"outcome ({error})", expected_error, f"infer rc={_CODES[error.logic]}")
        return
    yield from differs("outcome", expected_error, None)
    yield from _compare(case, graph, answer)


def _compare(case: dict[str, Any], graph: Graph, answer: bytes) -> Iterator[str]:
    found = np.frombuffer(answer, graph.output_type).tolist()
    yield from differs("output", case["output"], found)
    for key, actual in (
        ("output_type_size", graph.output_type_bytes),
        ("ops_gas", graph.operations()),
        ("storage", graph.storage_bytes()),
    ):
        if key in case:
            yield from differs(key, integer(case[key]), actual)


def encode_input(case: dict[str, Any], graph: Graph) -> bytes:
    return np.array(case["inputs"][0]["data"], np.int64).astype(graph.input_type).tobytes()


def build_model(case: dict[str, Any]) -> tuple[bytes, bytes]:
    """Symbol and parameters of a graph that is the operator alone, as the case declares it."""
    names = ["data", *(f"p{index}" for index in range(1, len(case["inputs"])))]
    shapes = [each["shape"] for each in case["inputs"]] + case["output_shapes"]
    precisions = [each["precision"] for each in case["inputs"]]
    nodes: list[dict[str, Any]] = [{"op": "null", "name": name, "inputs": []} for name in names]
    nodes.append(
        {
            "op": "cvm_op",
            "name": "op",
            "attrs": {"func_name": case["op"]},
            "inputs": [[index, 0, 0] for index in range(len(names))],
        }
    )
    outputs = len(case["output_shapes"])
    count = len(names) + outputs
    attributes = {key: str(value) for key, value in case.get("attrs", {}).items()}
    symbol = {
        "nodes": nodes,
        "arg_nodes": list(range(len(names))),
        "heads": [[len(names), case.get("output_index", 0), 0]],
        "node_row_ptr": [*range(len(names) + 1), count],
        "version": "cvm_1.0.0",
        "attrs": {
            "shape": ["list_shape", shapes],
            "storage_id": ["list_int", list(range(count))],
            "precision": ["list_int", precisions + [-1] * outputs],
            "op_attrs": ["list_str", ["{}"] * len(names) + [json.dumps(attributes)]],
            "dltype": ["list_str", ["int32"] * count],
        },
    }
    return json.dumps(symbol).encode(), _encode_parameters(case, names)


def _encode_parameters(case: dict[str, Any], names: list[str]) -> bytes:
    given = dict(zip(names[1:], case["inputs"][1:], strict=True))
    arrays = {
        name: np.array(each["data"], np.int32).reshape(each["shape"])
        for name, each in given.items()
    }
    return encode_parameters(arrays, {name: each["precision"] for name, each in given.items()})


def run(data: Any, engine: Engine = cvm.run) -> Iterable[Case]:
    """Each case by ``engine``."""
    cases = data["cases"] if isinstance(data, dict) else data
    for number, case in enumerate(cases):
        name = f"{number} {case.get('op', '?')} {case.get('attrs', '')}"
        yield judge(name, partial(_check, case, engine))
