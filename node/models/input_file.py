"""Input files: one NumPy array, whose raw bytes an INFER reads (cortex-protocol §4)."""

from __future__ import annotations

import io
import tokenize
import warnings
from math import prod

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from node.models.errors import MalformedModel

_TYPES = ("|i1", "<i4")


def read_input(content: bytes) -> bytes:
    """The payload of an ``.npy`` file of int8 or little-endian int32, row-major, as it lies there.

    Raises:
        MalformedModel: it is no such file, or is truncated.
    """
    shape, kind, payload = _parse(content)
    if len(payload) != prod(shape) * kind.itemsize:
        raise MalformedModel(f"the input has {len(payload)} bytes, which do not fit {shape}")
    return payload


def read_array(content: bytes) -> NDArray[np.int32]:
    """The array in an ``.npy`` file, as `read_input` takes them; raises `MalformedModel`."""
    payload = read_input(content)
    shape, kind, _ = _parse(content)
    return np.frombuffer(payload, kind).reshape(shape).astype(np.int32)


def read_input_shape(content: bytes) -> tuple[int, ...]:
    """Shape of the array in an ``.npy`` file; raises `MalformedModel` where it is none."""
    return _parse(content)[0]


def _parse(content: bytes) -> tuple[tuple[int, ...], np.dtype[np.generic], bytes]:
    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            shape, fortran, kind = _read_header(stream)
    except (ValueError, Warning, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise MalformedModel(f"the input is no .npy file: {error}") from error
    if fortran or kind.str not in _TYPES:
        raise MalformedModel(f"the input is {kind.str}, column-major or not one of {_TYPES}")
    return shape, kind, stream.read()


def _read_header(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(stream)
    if version == (1, 0):
        return npy.read_array_header_1_0(stream)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream)
    raise ValueError(f"version {version} is unknown")


def write_input(values: NDArray[np.int8] | NDArray[np.int32]) -> bytes:
    """An ``.npy`` file of an int8 or int32 array."""
    kind = "|i1" if values.dtype.itemsize == 1 else "<i4"
    stream = io.BytesIO()
    npy.write_array(stream, np.ascontiguousarray(values, kind), version=(1, 0), allow_pickle=False)
    return stream.getvalue()
