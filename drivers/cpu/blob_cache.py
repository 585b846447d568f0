"""Packed plans on disk, by model, instruction set and build, within a budget of bytes."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from drivers.cpu import layers as native
from drivers.cpu import library
from drivers.cpu.blob_format import MAGIC, Header
from drivers.kernels import infer
from drivers.program import Program

DEFAULT_BUDGET_BYTES = 8 << 30
_SUFFIX = ".plan"
_PART_SUFFIX = ".part"
_LONGEST_WRITE_SECONDS = 3600

Write = Callable[[BinaryIO], mmap.mmap]


class BlobCache:
    """One file for each model. What was used longest ago goes first."""

    def __init__(self, folder: Path, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes

    def find(self, model_id: str, program_digest: bytes | None = None) -> mmap.mmap | None:
        """The blob of a model, mapped to be read; None where there is none of this processor and
        code, or where it was made of a program of another `digest_program`."""
        path = self._path(model_id)
        try:
            with path.open("rb") as file:
                blob = _map(file)
        except OSError:
            return None
        with contextlib.suppress(OSError):  # a folder that is only read, or evicted meanwhile
            os.utime(path)
        if blob is not None and _is_of(blob, model_id, program_digest):
            return blob
        return None

    def store(self, model_id: str, write: Write) -> mmap.mmap:
        """Keep what ``write`` puts into a file; whole or not at all. Raises `OSError`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(_PART_SUFFIX, dir=self._folder)
        try:
            with open(handle, "r+b") as file:
                with write(file) as blob:
                    blob.flush()
                os.fsync(file.fileno())
            Path(name).rename(self._path(model_id))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._drop_unfinished()
        self._drop_older(model_id)
        self._evict()
        with self._path(model_id).open("rb") as stored:
            found = _map(stored)
        assert found is not None
        return found

    def _drop_older(self, model_id: str) -> None:
        """What other versions of this code have left of the model."""
        for path in self._folder.glob(f"{_stem(model_id)}-{native.isa()}-*{_SUFFIX}"):
            if path != self._path(model_id):
                path.unlink(missing_ok=True)

    def _path(self, model_id: str) -> Path:
        return self._folder / f"{_stem(model_id)}-{native.isa()}-{digest_code()}{_SUFFIX}"

    def _evict(self) -> None:
        """All but the newest may go; a file that is mapped lives on until it is closed."""
        files = sorted(self._list(_SUFFIX), key=lambda item: item[1].st_mtime_ns, reverse=True)
        total = 0
        for place, (path, status) in enumerate(files):
            total += status.st_size
            if place and total > self._budget_bytes:
                path.unlink(missing_ok=True)

    def _drop_unfinished(self) -> None:
        """What writers that were killed have left."""
        for path, status in self._list(_PART_SUFFIX):
            if time.time() - status.st_mtime > _LONGEST_WRITE_SECONDS:
                path.unlink(missing_ok=True)

    def _list(self, suffix: str) -> Iterator[tuple[Path, os.stat_result]]:
        """Files that another process may remove meanwhile."""
        for path in self._folder.glob(f"*{suffix}"):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat()


def _stem(model_id: str) -> str:
    return hashlib.blake2b(model_id.encode(), digest_size=20).hexdigest()


@functools.cache
def digest_code() -> str:
    """Of all code that a blob's content follows from: what an older one has packed is not used."""
    digest = hashlib.blake2b(digest_size=8)
    folders = (Path(infer.__file__).parent, Path(__file__).parent)
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.read_bytes())
    digest.update(library.library_path().read_bytes())
    return digest.hexdigest()


def digest_id(model_id: str) -> bytes:
    return hashlib.blake2b(model_id.encode(), digest_size=32).digest()


def digest_program(program: Program) -> bytes:
    """32 bytes that two programs share only if they are the same."""
    steps = [(s.op, s.inputs, s.outputs, sorted(s.attributes.items())) for s in program.steps]
    parts = (program.shapes, program.precisions, steps, program.heads)
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=32)
    for number in sorted(program.parameters):
        digest.update(str(number).encode())
        digest.update(np.ascontiguousarray(program.parameters[number], "<i4").data)
    return digest.digest()


def _map(file: BinaryIO) -> mmap.mmap | None:
    """None for a file that cannot hold a blob."""
    if os.fstat(file.fileno()).st_size < ctypes.sizeof(Header):
        return None
    return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)


def _is_of(blob: mmap.mmap, model_id: str, program_digest: bytes | None) -> bool:
    """The header alone is looked at; the native code checks the rest as it opens the plan."""
    header = Header.from_buffer_copy(blob)
    if (header.magic, header.bytes) != (MAGIC, len(blob)):
        return False
    if bytes(header.model) != digest_id(model_id):
        return False
    return program_digest in (None, bytes(header.program))
