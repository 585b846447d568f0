"""A program run as it is, one int32 operator after another: for hosts of devices that compute
only some layers. The engine of `drivers.cpu.infer` is the fast way."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import POINTER, c_int32
from typing import Self

import numpy as np
from numpy.typing import NDArray

from drivers.cpu import library
from drivers.program import Program, Step

_WORDS = POINTER(c_int32)
Words = NDArray[np.int32]


class LoadedProgram:
    """A program checked and bound to its buffers; one run at a time."""

    def __init__(self, program: Program, memory_limit_bytes: int) -> None:
        """Raises `BadArgument` for a malformed program, `NotSupported` naming an operator
        that is not available, and `OutOfMemory` beyond the memory limit."""
        self._open(flatten(program).encode(), parameter_words(program), memory_limit_bytes)

    @classmethod
    def of_text(cls, text: bytes, parameters: Words, memory_limit_bytes: int) -> Self:
        """From the library's flat form, see `flatten` and `parameter_words`."""
        made = cls.__new__(cls)
        made._open(text, parameters, memory_limit_bytes)
        return made

    def _open(self, text: bytes, parameters: Words, memory_limit_bytes: int) -> None:
        self._library = native = library.load()
        self._handle: int | None = library.open_handle(
            native.farmcpu_program_load, text, len(text), parameters.ctypes.data_as(_WORDS),
            parameters.size, memory_limit_bytes,
        )  # fmt: skip
        self._words = (
            native.farmcpu_program_input_words(self._handle),
            native.farmcpu_program_output_words(self._handle),
        )

    def run(self, data: bytes) -> bytes:
        """See `drivers.base.InferSession.run`. Raises `BadArgument` for a wrong length."""
        run = self._library.farmcpu_program_run
        return library.run_words(run, self._handle, data, self._words)

    def close(self) -> None:
        if self._handle:
            self._library.farmcpu_program_free(self._handle)
            self._handle = None


def parameter_words(program: Program) -> Words:
    """All parameters one after another, as the library's flat form expects them."""
    constants = [np.ascontiguousarray(p, "<i4").ravel() for p in program.parameters.values()]
    return np.concatenate(constants) if constants else np.empty(0, "<i4")


def flatten(program: Program) -> str:
    """The library's flat form of a program (``farmcpu_program_load`` in farmcpu.h)."""
    return "\n".join(_lines(program))


def _lines(program: Program) -> Iterator[str]:
    yield f"values {len(program.shapes)}"
    for shape, precision in zip(program.shapes, program.precisions, strict=True):
        yield _join(precision, len(shape), *shape)
    yield _join("parameters", len(program.parameters), *program.parameters)
    yield f"steps {len(program.steps)}"
    yield from map(step_line, program.steps)
    yield _join("heads", len(program.heads), *program.heads)


def step_line(step: Step) -> str:
    """A step of `flatten`."""
    words: list[object] = [step.op, len(step.inputs), *step.inputs]
    words += [len(step.outputs), *step.outputs, len(step.attributes)]
    for name, attribute in step.attributes.items():
        numbers = attribute if isinstance(attribute, tuple) else (attribute,)
        words += [name, len(numbers), *map(int, numbers)]
    return _join(*words)


def _join(*words: object) -> str:
    return " ".join(map(str, words))
