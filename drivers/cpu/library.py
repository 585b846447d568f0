"""libfarmcpu through ctypes: the Cuckaroo solver and verifier, and integer programs.

The library is built by the package's own build (CMake) and lies beside this file in a wheel
or after ``cmake --install build --prefix .``; an editable install keeps it in site-packages.
"""

from __future__ import annotations

import ctypes
import functools
import sysconfig
from ctypes import POINTER, c_char_p, c_double, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from pathlib import Path

from drivers.errors import BadArgument, DriverError, DriverMissing, NotSupported, OutOfMemory

FILE_NAME = "libfarmcpu.so"
ABI = 6
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
    return library


def _declare(library: ctypes.CDLL) -> None:
    def function(name: str, result: object, *arguments: object) -> None:
        entry = getattr(library, name)
        entry.restype, entry.argtypes = result, arguments

    function("farmcpu_isa", c_char_p)
    function("farmcpu_use_isa", c_int32, c_char_p)
    function("farmcpu_cuckoo_verify", c_int32, POINTER(Graph), POINTER(c_uint32), c_size_t)
    function("farmcpu_siphash_block", c_int32, POINTER(Graph), c_uint64, POINTER(c_uint64))
    function(
        "farmcpu_find_cycles",
        c_int32,
        c_void_p,
        c_size_t,
        c_uint32,
        c_uint32,
        POINTER(c_uint32),
        c_size_t,
        POINTER(c_size_t),
    )
    solver = (c_uint32, c_uint32, c_int32, c_uint32)
    function("farmcpu_solver_bytes", c_uint64, *solver)
    function("farmcpu_solver_create", c_void_p, *solver, c_uint64)
    function("farmcpu_solver_free", None, c_void_p)
    function(
        "farmcpu_solve",
        c_int32,
        c_void_p,
        POINTER(Graph),
        POINTER(c_int32),
        POINTER(c_uint32),
        c_size_t,
        POINTER(c_size_t),
    )
    function("farmcpu_solver_survivors", c_uint64, c_void_p, c_uint32)
    function("farmcpu_solver_phases", None, c_void_p, POINTER(Phases))
    function("farmcpu_floor_hash", c_uint64, POINTER(Graph), c_uint64)
    function("farmcpu_floor_read", c_uint64, POINTER(c_uint64), c_size_t)
    function("farmcpu_floor_store", None, POINTER(c_uint64), c_size_t, c_uint64)
    function(
        "farmcpu_program_load",
        c_void_p,
        c_char_p,
        c_size_t,
        POINTER(c_int32),
        c_size_t,
        c_uint64,
        POINTER(c_int32),
        c_char_p,
        c_size_t,
    )
    function("farmcpu_program_free", None, c_void_p)
    function("farmcpu_program_input_words", c_size_t, c_void_p)
    function("farmcpu_program_output_words", c_size_t, c_void_p)
    function(
        "farmcpu_program_run",
        c_int32,
        c_void_p,
        POINTER(c_int32),
        c_size_t,
        POINTER(c_int32),
        c_size_t,
    )
    size, words = c_size_t, POINTER(c_int32)
    function("farmcpu_convolution_methods", size, c_void_p, c_void_p, c_void_p)
    function("farmcpu_convolution_packed_bytes", size, c_void_p, c_uint32)
    function("farmcpu_convolution_pack", None, c_void_p, c_uint32, c_void_p, c_void_p)
    function("farmcpu_engine_create", c_void_p, c_uint32, c_uint64)
    function("farmcpu_engine_free", None, c_void_p)
    function("farmcpu_plan_checksum", c_uint64, c_void_p, size)
    function("farmcpu_plan_open", c_void_p, c_void_p, c_void_p, size, words, c_char_p, size)
    function("farmcpu_plan_free", None, c_void_p)
    for name in ("input_words", "output_words", "layers"):
        function(f"farmcpu_plan_{name}", size, c_void_p)
    run = (c_void_p, words, size, words, size)
    function("farmcpu_plan_run", c_int32, *run)
    function("farmcpu_plan_time", c_int32, *run, c_uint32, POINTER(c_double))


class Status(IntEnum):
    """``farmcpu_status``."""

    OK = 0
    BAD_ARGUMENT = 1
    NOT_SUPPORTED = 2
    NO_MEMORY = 3
    STOPPED = 4


#: Room for the message of a failure.
ERROR_BYTES = 512
_ERRORS: dict[int, type[DriverError]] = {
    Status.BAD_ARGUMENT: BadArgument,
    Status.NOT_SUPPORTED: NotSupported,
    Status.NO_MEMORY: OutOfMemory,
}


def error_of(status: int, message: bytes) -> DriverError:
    """What a failure that the library tells of is to the caller."""
    return _ERRORS.get(status, DriverError)(message.decode(errors="replace"))


def isa() -> str:
    """Instruction set in use: ``baseline``, ``avx2`` or ``avx512``."""
    name: bytes = load().farmcpu_isa()
    return name.decode()


def use_isa(name: str) -> None:
    """Use another instruction set in the whole process. Raises `NotSupported` for one that the
    processor lacks."""
    if load().farmcpu_use_isa(name.encode()) != Status.OK:
        raise NotSupported(f"this processor has no {name}; its best is {isa()}")
