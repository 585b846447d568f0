"""The symbol: a model's graph as JSON, with every rule about its form.

Only the form is checked here; what the operators say about shapes and precisions is
`node.spec.cvm.graph`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

from node.spec.cvm.errors import CvmLoadError, require, require_form
from node.spec.cvm.operators.operator import Shape

VERSIONS = ("cvm_1.0.0", "cvm_1.1.0")
EXTENDED_VERSION = "farm_1.0.0"
"""Of the extension form, which has operators besides (docs/operators.md)."""
DATA = "data"
UNKNOWN_PRECISION = -1

SYMBOL_BYTES_LIMIT = 1 << 28
STORAGE_LIMIT = 1 << 24
"""Storage ids are indices of a table; the official runtime fails for want of memory beyond."""
DIMENSION_LIMIT = 1 << 24
_DIMENSIONS_LIMIT, _SIZE_LIMIT, _PRECISION_LIMIT = 6, 1 << 30, 32

_GRAPH_KEYS = {"nodes", "arg_nodes", "node_row_ptr", "heads", "attrs", "version", "postprocess"}
_NODE_KEYS = {"op", "name", "inputs", "attrs", "precision"}
_NODE_ATTRIBUTE_KEYS = {"func_name", "num_inputs", "num_outputs", "op_attrs", "flatten_data"}
_ATTRIBUTE_TYPES = {
    "shape": "list_shape",
    "storage_id": "list_int",
    "device_index": "list_int",
    "precision": "list_int",
    "op_attrs": "list_str",
    "dltype": "list_str",
}


@dataclass(frozen=True)
class Reference:
    """An output of a node, as the symbol writes it."""

    node: int
    index: int


@dataclass(frozen=True)
class SymbolNode:
    """A variable (``operator`` empty) or an operator."""

    name: str
    operator: str
    inputs: tuple[Reference, ...]
    attributes: Mapping[str, str]

    @property
    def is_variable(self) -> bool:
        return not self.operator


@dataclass(frozen=True)
class Symbol:
    """A symbol whose form is right. Lists are by entry: an output of a node, in node order."""

    nodes: tuple[SymbolNode, ...]
    heads: tuple[Reference, ...]
    shapes: tuple[Shape, ...]
    precisions: tuple[int, ...]
    storage_ids: tuple[int, ...]
    types: tuple[str, ...]
    argument_nodes: tuple[int, ...]
    row_pointers: tuple[int, ...]
    version: str
    postprocess: str


def parse_symbol(symbol: bytes, *, extended: bool = False) -> Symbol:
    """Read a symbol; ``extended`` allows the extension form.

    Raises:
        CvmLoadError: it is not JSON, or breaks a rule of form; the message names it.
    """
    root = _object(_parse_json(_decode(symbol)), "symbol", _GRAPH_KEYS)
    for key in ("nodes", "heads", "attrs"):
        require(key in root, f"symbol has no {key}")
    attributes = _read_attributes(root["attrs"])
    raw_nodes = _list(root["nodes"], "nodes")
    operator_attributes = attributes["op_attrs"]
    require(
        len(operator_attributes) == len(raw_nodes),
        f"op_attrs has {len(operator_attributes)} items for {len(raw_nodes)} nodes",
    )
    version = _text(root.get("version", VERSIONS[0]), "version")
    allowed = (*VERSIONS, EXTENDED_VERSION) if extended else VERSIONS
    require_form(version in allowed, f"version {version[:40]!r} is none of {allowed}")
    nodes = [
        _read_node(raw, text, f"node {index}")
        for index, (raw, text) in enumerate(zip(raw_nodes, operator_attributes, strict=True))
    ]
    _check_names(nodes)
    return Symbol(
        nodes=tuple(nodes),
        heads=_references(root["heads"], "heads"),
        shapes=tuple(_check_shape(shape) for shape in attributes["shape"]),
        precisions=tuple(_check_precision(number) for number in attributes["precision"]),
        storage_ids=tuple(_check_storage(number) for number in attributes["storage_id"]),
        types=tuple(attributes["dltype"]),
        argument_nodes=_integers(root.get("arg_nodes", []), "arg_nodes"),
        row_pointers=_integers(root.get("node_row_ptr", []), "node_row_ptr"),
        version=version,
        postprocess=_text(root.get("postprocess", ""), "postprocess"),
    )


def _decode(symbol: bytes) -> str:
    require_form(len(symbol) <= SYMBOL_BYTES_LIMIT, f"symbol exceeds {SYMBOL_BYTES_LIMIT} bytes")
    try:
        return symbol.decode()
    except UnicodeDecodeError as error:
        raise CvmLoadError(f"symbol is not UTF-8: {error}", logic=False) from error


def _parse_json(text: str) -> Any:
    try:
        value, _ = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode(text.lstrip())
    except (ValueError, RecursionError) as error:
        raise CvmLoadError(f"symbol is not JSON: {error}", logic=False) from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _object(value: Any, where: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CvmLoadError(f"{where} is no object", logic=False)
    unknown = sorted(set(value) - keys)
    require_form(not unknown, f"{where} has unknown keys {unknown[:5]}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise CvmLoadError(f"{where} is no list", logic=False)
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise CvmLoadError(f"{where} is no string", logic=False)
    return value


def _integer(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise CvmLoadError(f"{where} is no integer", logic=False)
    return value


def _integers(value: Any, where: str) -> tuple[int, ...]:
    return tuple(_integer(item, where) for item in _list(value, where))


def _references(value: Any, where: str) -> tuple[Reference, ...]:
    return tuple(_read_reference(item, where) for item in _list(value, where))


def _read_reference(value: Any, where: str) -> Reference:
    numbers = _integers(value, where)
    require(len(numbers) in (2, 3), f"{where}: an entry is [node, index] or [node, index, version]")
    require_form(min(numbers) >= 0, f"{where}: an entry is negative")
    return Reference(numbers[0], numbers[1])


def _read_node(value: Any, operator_attributes: str, where: str) -> SymbolNode:
    raw = _object(value, where, _NODE_KEYS)
    for key in ("op", "name", "inputs"):
        require(key in raw, f"{where} has no {key}")
    operator = _text(raw["op"], f"{where} op")
    require(operator in ("null", "cvm_op"), f"{where}: op {operator[:40]!r} is unknown")
    name = _text(raw["name"], f"{where} name")
    inputs = _references(raw["inputs"], f"{where} inputs")
    function = _function_name(raw.get("attrs"), where)
    if operator == "null":
        return SymbolNode(name, "", inputs, {})
    require(bool(function), f"{where} has no func_name")
    return SymbolNode(name, function, inputs, _read_strings(operator_attributes, where))


def _function_name(value: Any, where: str) -> str:
    """Name of the operator; ``relu_12`` means ``relu``."""
    if value is None:
        return ""
    raw = _object(value, f"{where} attrs", _NODE_ATTRIBUTE_KEYS)
    for key, item in raw.items():
        _text(item, f"{where} {key}")
    name = str(raw.get("func_name", ""))
    require(bool(name), f"{where} has no func_name")
    stem = name.rstrip("0123456789")
    return stem[:-1] if stem.endswith("_") else name


def _read_strings(text: str, where: str) -> dict[str, str]:
    raw = _parse_json(text)
    if not isinstance(raw, dict):
        raise CvmLoadError(f"{where}: op_attrs is no object", logic=False)
    return {key: _text(item, f"{where} {key}") for key, item in raw.items()}


def _read_attributes(value: Any) -> dict[str, list[Any]]:
    """The typed lists of ``attrs``; ``dtype`` is obsolete and skipped."""
    raw = _object(value, "attrs", {*_ATTRIBUTE_TYPES, "dtype"})
    for key in ("shape", "storage_id", "op_attrs"):
        require(key in raw, f"attrs has no {key}")
    lists: dict[str, list[Any]] = {key: [] for key in _ATTRIBUTE_TYPES}
    for key, kind in _ATTRIBUTE_TYPES.items():
        if key in raw:
            lists[key] = _read_typed_list(raw[key], kind, f"attrs {key}")
    require(not lists["device_index"], "attrs device_index must be empty")
    return lists


def _read_typed_list(value: Any, kind: str, where: str) -> list[Any]:
    pair = _list(value, where)
    require(len(pair) == 2, f"{where} is not [type, list]")
    require(pair[0] == kind, f"{where} is of type {str(pair[0])[:40]!r}, not {kind}")
    items = _list(pair[1], where)
    if kind == "list_str":
        return [_text(item, where) for item in items]
    if kind == "list_int":
        return [_integer(item, where) for item in items]
    return [_integers(item, where) for item in items]


def _check_names(nodes: Sequence[SymbolNode]) -> None:
    names = [node.name for node in nodes if node.is_variable]
    require_form(len(set(names)) == len(names), "two variables have the same name")
    require_form(DATA in names, f"no variable is named {DATA!r}")


def _check_shape(shape: Shape) -> Shape:
    require(0 < len(shape) <= _DIMENSIONS_LIMIT, f"a shape has {len(shape)} dimensions, not 1…6")
    for size in shape:
        require(0 < size <= DIMENSION_LIMIT, f"a dimension is {size}, not 1…{DIMENSION_LIMIT}")
    require(prod(shape) <= _SIZE_LIMIT, f"a tensor has more than {_SIZE_LIMIT} elements")
    return shape


def _check_precision(precision: int) -> int:
    require(
        precision == UNKNOWN_PRECISION or 0 < precision <= _PRECISION_LIMIT,
        f"a precision is {precision}, neither -1 nor 1…{_PRECISION_LIMIT}",
    )
    return precision


def _check_storage(number: int) -> int:
    require(number >= 0, f"a storage id is {number}, below 0")
    require_form(number < STORAGE_LIMIT, f"a storage id is {number}, beyond {STORAGE_LIMIT}")
    return number
