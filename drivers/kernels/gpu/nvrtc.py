"""NVIDIA's run-time compiler through ctypes: CUDA C++ to machine code, with or without a GPU."""

from __future__ import annotations

import ctypes
import functools
import glob
import importlib.util
import os
from collections.abc import Iterator
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from typing import Any

from drivers.errors import DriverError, DriverMissing

OPTIONS = ("-std=c++17", "-default-device", "-diag-suppress=177", "--ptxas-options=-v")
#: Where wheels put the library, below the package ``nvidia``.
WHEELS = ("cuda_nvrtc/lib/libnvrtc.so.1?", "cu1?/lib/libnvrtc.so.1?")
NAMES = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")


@dataclass(frozen=True)
class Compiled:
    code: bytes
    """A cubin: machine code of one architecture."""
    log: str
    """What the compiler said: registers, spills and shared memory of each kernel."""


def architectures() -> list[int]:
    """Those this compiler knows, such as 90 for sm_90. Raises `DriverMissing`."""
    library, count = _load(), c_int()
    _check(library.nvrtcGetNumSupportedArchs(byref(count)))
    numbers = (c_int * count.value)()
    _check(library.nvrtcGetSupportedArchs(numbers))
    return list(numbers)


def version() -> str:
    """Raises `DriverMissing`."""
    major, minor = c_int(), c_int()
    _check(_load().nvrtcVersion(byref(major), byref(minor)))
    return f"NVRTC {major.value}.{minor.value}"


def compile_cuda(source: str, architecture: int | str) -> Compiled:
    """Raises `DriverMissing` without the compiler, and `DriverError` with its log where it
    refuses the source or the architecture."""
    library, program = _load(), c_void_p()
    _check(library.nvrtcCreateProgram(byref(program), source.encode(), b"kernels", 0, None, None))
    try:
        options = [f"-arch=sm_{architecture}", *OPTIONS]
        arguments = (c_char_p * len(options))(*(option.encode() for option in options))
        status = library.nvrtcCompileProgram(program, len(options), arguments)
        log = _read(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, program)
        if status:
            raise DriverError(f"NVRTC cannot compile for sm_{architecture}: {_text(log)}")
        code = _read(library.nvrtcGetCUBINSize, library.nvrtcGetCUBIN, program)
        return Compiled(code, _text(log))
    finally:
        library.nvrtcDestroyProgram(byref(program))


@functools.cache
def _load() -> ctypes.CDLL:
    for path in _candidates():
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise DriverMissing(
        "NVIDIA's compiler NVRTC is not installed; `pip install 'farmctl[cuda]'` adds it"
    )


def _candidates() -> Iterator[str]:
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for pattern in WHEELS:
            yield from sorted(glob.glob(os.path.join(folder, pattern)))
    yield from NAMES


def _read(size_of: Any, read: Any, program: c_void_p) -> bytes:
    size = c_size_t()
    _check(size_of(program, byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(read(program, buffer))
    return buffer.raw


def _text(log: bytes) -> str:
    return log.rstrip(b"\0").decode(errors="replace").strip()


def _check(status: int) -> None:
    if status:
        raise DriverError(f"NVRTC failed with status {status}")
