"""What is no model is refused with a reason, and never with another error."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.spec.cvm import CvmError, CvmLoadError, CvmRunError, load, run
from node.spec.cvm.parameters import encode_parameters, parse_parameters
from tests.support.cvm_models import small_model

SYMBOL, PARAMETERS = small_model()


def changed(path, value):
    """The small model's symbol with one item replaced (or, with `...`, removed)."""
    root = json.loads(SYMBOL)
    item = root
    for key in path[:-1]:
        item = item[key]
    if value is ...:
        del item[path[-1]]
    else:
        item[path[-1]] = value
    return json.dumps(root).encode()


def test_small_model():
    graph = load(SYMBOL, PARAMETERS)
    assert run(graph, bytes([4, 8, 12])) == bytes([14, 256 - 12])
    assert graph.operations() == 5 * (3 + 6 + 2 + 2) + 2 * 9 + 2
    with pytest.raises(CvmRunError, match="4 bytes, not 3"):
        run(graph, bytes(4))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["nodes"], ..., "no nodes"),
        (["extra"], 1, "unknown keys"),
        (["version"], "cvm_2.0.0", "version"),
        (["heads"], [], "no heads"),
        (["heads"], [[9, 0, 0]], "no node 9"),
        (["heads"], [[2, 7, 0]], "not before"),
        (["nodes", 0, "name"], "input", "'data'"),
        (["nodes", 1, "name"], "data", "same name"),
        (["nodes", 2, "op"], "tvm_op", "unknown"),
        (["nodes", 2, "color"], "red", "unknown keys"),
        (["nodes", 2, "attrs", "func_name"], "softmax", "no operator"),
        (["nodes", 2, "attrs", "speed"], "1", "unknown keys"),
        (["nodes", 2, "inputs"], [[0, 0]], "takes 2 inputs"),
        (["nodes", 2, "inputs", 0], [3, 0, 0], "not before"),
        (["nodes", 2, "inputs", 0], [-1, 0, 0], "negative"),
        (["arg_nodes"], [0], "arg_nodes"),
        (["node_row_ptr"], [0, 1, 2], "node_row_ptr"),
        (["attrs", "dltype", 1, 0], "int8", "int32"),
        (["attrs", "device_index"], ["list_int", [1]], "device_index"),
        (["attrs", "storage_id", 1, 0], -1, "below 0"),
        (["attrs", "storage_id", 1], [0, 1, 2], "3 items"),
        (["attrs", "storage_id", 1, 2], 0, "shares the storage"),
        (["attrs", "shape", 1, 0], [1, 2**25], "dimension"),
        (["attrs", "shape", 1, 0], [2**24, 2**24], "elements"),
        (["attrs", "shape", 1, 0], [], "dimensions"),
        (["attrs", "shape", 1, 2], [1, 3], "its shape"),
        (["attrs", "shape", 0], "list_int", "list_shape"),
        (["attrs", "precision", 1, 0], 33, "precision"),
        (["attrs", "precision", 1, 0], -1, "has no precision"),
        (["attrs", "precision", 1, 0], 9, "exceeds 8"),
        (["attrs", "op_attrs", 1, 2], "{}", "needs the attribute units"),
        (["attrs", "op_attrs", 1, 2], '{"units": "two"}', "no integer"),
        (["attrs", "op_attrs", 1, 2], '{"units": "2", "x": "1"}', "no attribute"),
        (["attrs", "op_attrs", 1, 3], '{"precision": "8", "shift_bit": "0"}', "outside"),
    ],
)
def test_wrong_symbols(path, value, reason):
    with pytest.raises(CvmLoadError, match=reason):
        load(changed(path, value), PARAMETERS)


def test_version_1_1_needs_no_repetition():
    root = json.loads(SYMBOL)
    root["version"] = "cvm_1.1.0"
    for key in ("arg_nodes", "node_row_ptr"):
        del root[key]
    del root["attrs"]["dltype"]
    assert run(load(json.dumps(root).encode(), PARAMETERS), bytes(3)) == bytes(2)


def test_every_truncation_of_the_parameters_is_refused():
    for length in range(len(PARAMETERS)):
        with pytest.raises(CvmLoadError):
            load(SYMBOL, PARAMETERS[:length])


def test_a_parameter_beyond_its_precision_is_refused():
    with pytest.raises(CvmLoadError, match="beyond precision 3"):
        load(changed(["attrs", "precision", 1, 1], 3), PARAMETERS)


def test_missing_and_unknown_parameters():
    with pytest.raises(CvmLoadError, match="no variable is named 'w'"):
        load(changed(["nodes", 1, "name"], "v"), PARAMETERS)
    with pytest.raises(CvmLoadError, match="'w' is missing"):
        load(SYMBOL, encode_parameters({}, {}))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_never_crash_the_loader(data):
    symbol, parameters = bytearray(SYMBOL), bytearray(PARAMETERS)
    for blob in (symbol, parameters):
        for _ in range(data.draw(st.integers(0, 3))):
            blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CvmError):
        run(load(bytes(symbol), bytes(parameters)), bytes(3))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
_PATHS = [
    *(["nodes"], ["heads"], ["attrs"], ["nodes", 2], ["nodes", 2, "inputs"], ["nodes", 2, "attrs"]),
    *(["attrs", key, 1] for key in ("shape", "precision", "storage_id", "op_attrs", "dltype")),
    *(["attrs", "op_attrs", 1, index] for index in (2, 3)),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_PATHS), _JSON)
def test_odd_json_never_crashes_the_loader(path, value):
    with contextlib.suppress(CvmLoadError):
        load(changed(path, value), PARAMETERS)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_odd_parameters_never_crash_the_loader(tail):
    with contextlib.suppress(CvmLoadError):
        parse_parameters(PARAMETERS[:24] + tail)
