"""libfarmcpu through ctypes: solvers and verifier of cycles, integer programs and packed plans.

The library is built by the package's own build (CMake) and lies beside this file in a wheel
or after ``cmake --install build --prefix .``; an editable install keeps it in site-packages.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sysconfig
from collections.abc import Callable
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_double,
    c_int32,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from enum import IntEnum
from pathlib import Path

import numpy as np

from drivers.errors import BadArgument, DriverError, DriverMissing, NotSupported, OutOfMemory

FILE_NAME = "libfarmcpu.so"
#: Names the only instruction set that may be used; by default the best that the processor has is.
ISA_VARIABLE = "FARMCPU_ISA"
ABI = 7
TIMED_ROUNDS = 8


class Graph(ctypes.Structure):
    """``farmcpu_graph``: one graph of `drivers.kernels.graphs`."""

    _fields_ = (
        ("keys", c_uint64 * 4),
        ("edge_bits", c_uint32),
        ("compression_rounds", c_uint32),
        ("finalisation_rounds", c_uint32),
        ("proof_size", c_uint32),
        ("cycle", c_uint32),
    )


class Phases(ctypes.Structure):
    """``farmcpu_phases``: wall seconds of the last graph by phase."""

    _fields_ = (
        ("generation", c_double),
        ("rounds", c_double * TIMED_ROUNDS),
        ("tail", c_double),
        ("peel", c_double),
        ("recovery", c_double),
    )


def library_path() -> Path:
    """Where the built library lies. Raises `DriverMissing`."""
    places = [Path(__file__).parent, Path(sysconfig.get_path("platlib")) / "drivers" / "cpu"]
    for place in places:
        if (place / FILE_NAME).is_file():
            return place / FILE_NAME
    raise DriverMissing(
        f"{FILE_NAME} is not built (looked in {places[0]} and {places[1]}); "
        "run `pip install -e .` or `make up`, which build it"
    )


@functools.cache
def load() -> ctypes.CDLL:
    """The library with its signatures declared. Raises `DriverMissing`."""
    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise DriverMissing(f"{path} cannot be loaded: {error}; build it again") from None
    library.farmcpu_abi.restype = c_uint32
    if (found := library.farmcpu_abi()) != ABI:
        raise DriverMissing(f"{path} has ABI {found}, this code needs {ABI}; build it again")
    _declare(library)
    _expect_forced(path, library)
    return library


def _expect_forced(path: Path, library: ctypes.CDLL) -> None:
    """The sets of inference are all there are; the library falls back to ``baseline``."""
    forced, found = os.environ.get(ISA_VARIABLE), library.farmcpu_infer_isa().decode()
    if forced and forced != found:
        raise DriverMissing(
            f"{ISA_VARIABLE} is {forced}, an instruction set that this processor or {path} lacks; "
            f"unset it to have the best there is, or set it to {found}"
        )


#: Declares a function: its name after ``farmcpu_``, what it answers, and its arguments.
_Declare = Callable[..., None]


def _declare(library: ctypes.CDLL) -> None:
    def function(name: str, result: object, *arguments: object) -> None:
        entry = getattr(library, f"farmcpu_{name}")
        entry.restype, entry.argtypes = result, arguments

    function("isa", c_char_p)
    function("use_isa", c_int32, c_char_p)
    function("infer_isa", c_char_p)
    function("infer_use_isa", c_int32, c_char_p)
    _declare_cuckoo(function)
    _declare_programs(function)
    _declare_layers(function)
    _declare_plans(function)


def _declare_cuckoo(function: _Declare) -> None:
    graph, edges, count = POINTER(Graph), POINTER(c_uint32), POINTER(c_size_t)
    function("cuckoo_verify", c_int32, graph, edges, c_size_t)
    function("siphash_block", c_int32, graph, c_uint64, POINTER(c_uint64))
    ends = (c_void_p, c_size_t, c_uint32, c_uint32)
    function("find_cycles", c_int32, *ends, edges, c_size_t, count)
    solver = (c_uint32, c_uint32, c_int32, c_uint32)
    function("solver_bytes", c_uint64, *solver)
    function("solver_create", c_void_p, *solver, c_uint64)
    function("solver_free", None, c_void_p)
    function("solve", c_int32, c_void_p, graph, POINTER(c_int32), edges, c_size_t, count)
    function("solver_survivors", c_uint64, c_void_p, c_uint32)
    function("solver_phases", None, c_void_p, POINTER(Phases))
    function("floor_hash", c_uint64, graph, c_uint64)
    function("floor_read", c_uint64, POINTER(c_uint64), c_size_t)
    function("floor_store", None, POINTER(c_uint64), c_size_t, c_uint64)


_WORDS = POINTER(c_int32)
_FAILURE = (POINTER(c_int32), c_char_p, c_size_t)
_RUN = (c_void_p, _WORDS, c_size_t, _WORDS, c_size_t)


def _declare_programs(function: _Declare) -> None:
    text, parameters = (c_char_p, c_size_t), (_WORDS, c_size_t)
    function("program_load", c_void_p, *text, *parameters, c_uint64, *_FAILURE)
    function("program_free", None, c_void_p)
    function("program_input_words", c_size_t, c_void_p)
    function("program_output_words", c_size_t, c_void_p)
    function("program_run", c_int32, *_RUN)


def _declare_layers(function: _Declare) -> None:
    function("floor_multiply", c_uint64, c_uint64)
    function("team_create", c_void_p, c_uint32)
    function("team_free", None, c_void_p)
    function("convolution_methods", c_size_t, c_void_p, c_void_p, c_void_p)
    function("convolution_packed_bytes", c_size_t, c_void_p, c_uint32)
    function("convolution_scratch_bytes", c_size_t, c_void_p, c_uint32, c_uint32)
    function("convolution_pack", None, c_void_p, c_uint32, c_void_p, c_void_p)
    function("convolve", c_int32, *[c_void_p] * 4)
    for name, count in (("pool", 6), ("add", 7), ("scale", 8), ("look_up", 6), ("copy", 5)):
        function(name, None, *[c_void_p] * count)
    for name in ("to_bytes", "to_words"):
        function(name, None, *[c_void_p] * 4)


def _declare_plans(function: _Declare) -> None:
    function("engine_create", c_void_p, c_uint32, c_uint64)
    function("engine_free", None, c_void_p)
    function("plan_checksum", c_uint64, c_void_p, c_size_t)
    function("plan_open", c_void_p, c_void_p, c_void_p, c_size_t, *_FAILURE)
    function("plan_free", None, c_void_p)
    for name in ("input_words", "output_words", "layers"):
        function(f"plan_{name}", c_size_t, c_void_p)
    function("plan_run", c_int32, *_RUN)
    function("plan_time", c_int32, *_RUN, c_uint32, POINTER(c_double))


class Status(IntEnum):
    """``farmcpu_status``."""

    OK = 0
    BAD_ARGUMENT = 1
    NOT_SUPPORTED = 2
    NO_MEMORY = 3
    STOPPED = 4


_ERROR_BYTES = 512
_ERRORS: dict[int, type[DriverError]] = {
    Status.BAD_ARGUMENT: BadArgument,
    Status.NOT_SUPPORTED: NotSupported,
    Status.NO_MEMORY: OutOfMemory,
}


def open_handle(function: Callable[..., int | None], *arguments: object) -> int:
    """What ``function`` makes, which tells of a failure in its last arguments. Raises the
    `DriverError` that the failure is to the caller."""
    status, message = c_int32(), ctypes.create_string_buffer(_ERROR_BYTES)
    handle = function(*arguments, byref(status), message, _ERROR_BYTES)
    if handle is None:
        error = _ERRORS.get(status.value, DriverError)
        raise error(message.value.decode(errors="replace"))
    return handle


def run_words(
    function: Callable[..., int],
    handle: int | None,
    data: bytes,
    words: tuple[int, int],
    *more: object,
) -> bytes:
    """The answer to an input; ``words`` is how many words of int32 the input has, and the answer.
    Raises `BadArgument` for a wrong length, and `DriverError`."""
    if len(data) != 4 * words[0]:
        raise BadArgument(f"the input must be {4 * words[0]} bytes, not {len(data)}")
    given, answer = np.frombuffer(data, "<i4"), np.empty(words[1], "<i4")
    given_at, answer_at = (each.ctypes.data_as(_WORDS) for each in (given, answer))
    status = function(handle, given_at, given.size, answer_at, answer.size, *more)
    if status != Status.OK:
        raise DriverError(f"the run failed: {Status(status).name.lower()}")
    return answer.tobytes()


def isa() -> str:
    """Instruction set in use: ``baseline``, ``avx2`` or ``avx512``."""
    name: bytes = load().farmcpu_isa()
    return name.decode()


def use_isa(name: str) -> None:
    """Use another instruction set in the whole process. Raises `NotSupported` for one that the
    processor lacks."""
    if load().farmcpu_use_isa(name.encode()) != Status.OK:
        raise NotSupported(f"this processor has no {name}; {isa()} is in use")
