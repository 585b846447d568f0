"""The records of a packed plan; ``native/plan_format.hpp`` explains each field."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_int64, c_uint8, c_uint32, c_uint64
from enum import IntEnum

from drivers.cpu.layers import Convolution, Image, Pool, Rescale, Residual

MAGIC = b"FARMPLAN"
NOWHERE = (1 << 64) - 1


class Header(ctypes.Structure):
    _fields_ = (
        ("magic", c_char * 8),
        ("bytes", c_uint64),
        ("checksum", c_uint64),
        ("isa", c_char * 16),
        ("model", c_uint8 * 32),
        ("program", c_uint8 * 32),
        ("workspace_bytes", c_uint64),
        ("values", c_uint32),
        ("layers", c_uint32),
        ("heads", c_uint32),
        ("unused", c_uint32),
        ("values_at", c_uint64),
        ("layers_at", c_uint64),
        ("heads_at", c_uint64),
    )


class Value(ctypes.Structure):
    _fields_ = (
        ("dimensions", c_uint32),
        ("is_constant", c_uint32),
        ("shape", c_int64 * 6),
        ("at", c_uint64),
        ("precision", c_int64),
    )


class LayerKind(IntEnum):
    CONVOLUTION = 0
    POOL = 1
    ADD = 2
    SCALE = 3
    LOOKUP = 4
    COPY = 5
    TO_BYTES = 6
    TO_WORDS = 7
    GENERAL = 8


class Forms(ctypes.Structure):
    """``PlanForms``."""

    _fields_ = (("source", Image), ("target", Image), ("residual", Residual), ("rescale", Rescale))


class _Form(ctypes.Union):
    _fields_ = (
        ("convolution", Convolution),
        ("pool", Pool),
        ("forms", Forms),
        ("bytes", c_uint8 * 192),
    )


class Record(ctypes.Structure):
    """``PlanLayer``."""

    _anonymous_ = ("form",)
    _fields_ = (
        ("kind", c_uint32),
        ("method", c_uint32),
        ("source_at", c_uint64),
        ("other_at", c_uint64),
        ("target_at", c_uint64),
        ("packed_at", c_uint64),
        ("packed_bytes", c_uint64),
        ("multiplier_at", c_uint64),
        ("offset_at", c_uint64),
        ("form", _Form),
    )


assert ctypes.sizeof(Header) == 152
assert ctypes.sizeof(Value) == 72
assert ctypes.sizeof(Record) == 256
