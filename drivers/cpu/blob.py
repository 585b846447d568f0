"""A plan packed for this processor: one file that runs as it lies (``native/plan_format.hpp``)."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from drivers.cpu import layers as native
from drivers.cpu import library
from drivers.cpu.blob_format import MAGIC, Header, Record, Value
from drivers.cpu.blob_records import list_records, most_records
from drivers.cpu.blob_sections import Bytes, Sections, align
from drivers.cpu.placement import Placement, place
from drivers.errors import OutOfMemory
from drivers.kernels.infer.layers import General, Plan


@dataclass(frozen=True)
class Identity:
    """Whose plan a blob is: digests of 32 bytes."""

    model: bytes
    program: bytes


def write_blob(
    plan: Plan,
    identity: Identity,
    open_file: BinaryIO | None = None,
    memory_limit_bytes: int | None = None,
) -> mmap.mmap:
    """Pack a plan into a file, or into memory where none is given. The map is the blob; for a
    file it is to be flushed and closed by the caller. Raises `OSError` where the file's disk has
    no room, and `OutOfMemory`, with nothing written, for a blob that takes more than
    ``memory_limit_bytes`` with its activations."""
    return _Packer(plan, identity).write(open_file, memory_limit_bytes)


class _Packer:
    def __init__(self, plan: Plan, identity: Identity) -> None:
        self._plan = plan
        self._identity = identity
        self._placement: Placement = place(plan)
        self._values = {number: index for index, number in enumerate(_values_of(plan))}
        self._values_at = ctypes.sizeof(Header)
        self._layers_at = align(self._values_at + len(self._values) * ctypes.sizeof(Value))
        self._heads_at = self._layers_at + most_records(plan) * ctypes.sizeof(Record)
        self._sections = Sections(self._heads_at + 4 * len(plan.heads))

    def write(self, open_file: BinaryIO | None, memory_limit_bytes: int | None) -> mmap.mmap:
        records = list_records(self._plan, self._placement, self._values, self._sections)
        values = [self._describe_value(number) for number in self._values]
        size = self._sections.total_bytes
        activations = self._placement.total_bytes
        if memory_limit_bytes is not None and size + activations > memory_limit_bytes:
            raise OutOfMemory(
                f"the model needs more memory than it may have: {size} bytes packed and "
                f"{activations} of activations, of {memory_limit_bytes}"
            )
        if open_file is not None:
            # A file with holes would end this process where its disk is full.
            os.posix_fallocate(open_file.fileno(), 0, size)
        blob = mmap.mmap(open_file.fileno() if open_file else -1, size)
        view = np.frombuffer(blob, np.uint8)
        self._sections.write(view)
        _put(view, self._values_at, b"".join(map(bytes, values)))
        _put(view, self._layers_at, b"".join(map(bytes, records)))
        _put(view, self._heads_at, self._head_places())
        self._seal(view, len(records))
        return blob

    def _describe_value(self, number: int) -> Value:
        shape = self._plan.tensors[number].shape
        constant = self._plan.constants.get(number)
        at = (
            self._placement.places[number]
            if constant is None
            else self._sections.keep(constant.astype("<i4"))
        )
        padded = (*shape, *[0] * (6 - len(shape)))
        return Value(len(shape), int(constant is not None), padded, at, 32)

    def _head_places(self) -> bytes:
        return np.array([self._values[head] for head in self._plan.heads], "<u4").tobytes()

    def _seal(self, view: Bytes, records: int) -> None:
        """Write the header, whose checksum is of all behind it."""
        header = Header(
            magic=MAGIC,
            bytes=view.size,
            isa=native.isa().encode(),
            workspace_bytes=self._placement.total_bytes,
            values=len(self._values),
            layers=records,
            heads=len(self._plan.heads),
            values_at=self._values_at,
            layers_at=self._layers_at,
            heads_at=self._heads_at,
        )
        header.model[:], header.program[:] = self._identity.model, self._identity.program
        _put(view, 0, bytes(header))
        checksum = Header.checksum
        behind = view[checksum.offset + checksum.size :]
        header.checksum = library.load().farmcpu_plan_checksum(behind.ctypes.data, behind.size)
        _put(view, 0, bytes(header))


def _values_of(plan: Plan) -> tuple[int, ...]:
    """Tensors that the native code knows by number: the input, and those of general steps and
    heads."""
    used = {0, *plan.heads, *plan.constants}
    for layer in plan.layers:
        if isinstance(layer, General):
            used.update(layer.step.inputs, layer.step.outputs)
    return tuple(sorted(used))


def _put(view: Bytes, at: int, content: bytes) -> None:
    view[at : at + len(content)] = np.frombuffer(content, np.uint8)
