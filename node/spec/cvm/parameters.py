"""The parameter blob: named int8 or int32 tensors, little-endian (cortex-protocol §5)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod

import numpy as np

from node.spec.cvm.errors import CvmLoadError, require, require_form
from node.spec.cvm.graph import Graph
from node.spec.cvm.operators.operator import Array, limit_of
from node.spec.cvm.symbol import DATA, DIMENSION_LIMIT

LIST_MAGIC = 0xF7E58D4F05049CB7
TENSOR_MAGIC = 0xDD5E40F096B4A13F
_CPU_DEVICE = 1
_INTEGER_CODE = 0
_TYPES = {8: "<i1", 32: "<i4"}
_DIMENSIONS_LIMIT = 32

_U64 = struct.Struct("<Q")
_TENSOR = struct.Struct("<QQiiiBBH")
_I64 = struct.Struct("<q")


class _Reader:
    """Takes bytes from the front and says where they end too early."""

    def __init__(self, blob: bytes) -> None:
        self.view = memoryview(blob)
        self.position = 0

    def take(self, count: int, what: str) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.view):
            raise CvmLoadError(f"parameters end within {what}", logic=False)
        taken = self.view[self.position : end]
        self.position = end
        return taken

    def unpack(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size, what))


def parse_parameters(blob: bytes) -> list[tuple[str, Array]]:
    """Read every tensor of a blob, widened to int32, in order.

    Raises:
        CvmLoadError: the blob is malformed or truncated; the message says where.
    """
    reader = _Reader(blob)
    (magic,) = reader.unpack(_U64, "the header")
    require(magic == LIST_MAGIC, "parameters do not begin with the magic number of a list")
    reader.unpack(_U64, "the header")
    names = _read_names(reader)
    (count,) = reader.unpack(_U64, "the number of tensors")
    require(count == len(names), f"{count} tensors for {len(names)} names")
    return [(name, _read_tensor(reader, name)) for name in names]


def _read_names(reader: _Reader) -> list[str]:
    (count,) = reader.unpack(_U64, "the number of names")
    require_form(count <= len(reader.view) // _U64.size, "parameters end within the names")
    names = []
    for _ in range(count):
        (length,) = reader.unpack(_U64, "a name")
        raw = bytes(reader.take(length, "a name"))
        # Names are matched with the symbol's; one that is no UTF-8 matches none.
        names.append(raw.decode(errors="replace"))
    return names


def _read_tensor(reader: _Reader, name: str) -> Array:
    what = f"tensor {name[:60]!r}"
    magic, _, device, _, dimensions, code, bits, lanes = reader.unpack(_TENSOR, what)
    require_form(magic == TENSOR_MAGIC, f"{what} does not begin with its magic number")
    require_form(device == _CPU_DEVICE, f"{what} is not a CPU tensor")
    require(
        code == _INTEGER_CODE and bits in _TYPES and lanes == 1, f"{what} is neither int8 nor int32"
    )
    require_form(0 <= dimensions <= _DIMENSIONS_LIMIT, f"{what} has {dimensions} dimensions")
    shape = tuple(reader.unpack(_I64, what)[0] for _ in range(dimensions))
    require_form(
        all(0 < size <= DIMENSION_LIMIT for size in shape), f"{what} has an impossible shape"
    )
    (length,) = reader.unpack(_I64, what)
    require_form(length == prod(shape) * bits // 8, f"{what}: {length} bytes do not fit {shape}")
    raw = reader.take(length, what)
    values: Array = np.frombuffer(raw, _TYPES[bits]).reshape(shape).astype(np.int32)
    return values


def load_parameters(graph: Graph, blob: bytes) -> Graph:
    """The graph with the parameters of ``blob``, each proved against its precision.

    Raises:
        CvmLoadError: the blob is malformed, or a parameter is unknown, missing or does not fit.
    """
    require(bool(blob), "parameters are empty")
    parameters = {}
    for name, array in parse_parameters(blob):
        entry = graph.variables.get(name)
        if entry is None:
            raise CvmLoadError(f"no variable is named {name[:60]!r}", logic=False)
        _check_parameter(graph, name, entry, array)
        parameters[entry] = array
    parameters.pop(graph.input_entry, None)
    for name, entry in graph.variables.items():
        require(name == DATA or entry in parameters, f"parameter {name[:60]!r} is missing")
    return graph.with_parameters(parameters)


def _check_parameter(graph: Graph, name: str, entry: int, array: Array) -> None:
    shape, precision = graph.shapes[entry], graph.precisions[entry]
    require(array.shape == shape, f"parameter {name!r} is {array.shape}, not {shape}")
    if name == DATA:
        return
    limit = limit_of(precision)
    largest = int(np.abs(array.astype(np.int64)).max())
    require(largest <= limit, f"parameter {name!r} holds ±{largest}, beyond precision {precision}")


def encode_parameters(parameters: Mapping[str, Array], precisions: Mapping[str, int]) -> bytes:
    """Write a blob; a tensor whose precision is at most 8 takes one byte an element."""
    parts = [_U64.pack(LIST_MAGIC), _U64.pack(0), _U64.pack(len(parameters))]
    for name in parameters:
        raw = name.encode()
        parts += [_U64.pack(len(raw)), raw]
    parts.append(_U64.pack(len(parameters)))
    for name, array in parameters.items():
        parts += _encode_tensor(array, 8 if precisions[name] <= 8 else 32)
    return b"".join(parts)


def _encode_tensor(array: Array, bits: int) -> list[bytes]:
    head = _TENSOR.pack(TENSOR_MAGIC, 0, _CPU_DEVICE, 0, array.ndim, _INTEGER_CODE, bits, 1)
    raw = np.ascontiguousarray(array, dtype=_TYPES[bits]).tobytes()
    return [head, *(_I64.pack(size) for size in array.shape), _I64.pack(len(raw)), raw]
