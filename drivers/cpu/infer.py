"""INFER on the CPU: programs fused into plans, packed once, run as they lie."""

from __future__ import annotations

import functools
import logging
import mmap
import os
from ctypes import POINTER, c_double
from pathlib import Path

import numpy as np

from drivers.cpu import library
from drivers.cpu.blob import Identity, write_blob
from drivers.cpu.blob_cache import DEFAULT_BUDGET_BYTES, BlobCache, digest_id, digest_program
from drivers.errors import BadArgument, OutOfMemory
from drivers.kernels.infer.fusion import fuse
from drivers.program import Program

log = logging.getLogger(__name__)


class Engine:
    """Threads, and memory for activations, that plans share. ``memory_limit_bytes`` bounds what one
    plan takes, packed and with its activations; only what is used is taken from the machine."""

    def __init__(self, threads: int, memory_limit_bytes: int) -> None:
        if threads < 1:
            raise BadArgument(f"{threads} threads cannot run anything; ask for 1 or more")
        self._library = library.load()
        self.handle = self._library.farmcpu_engine_create(threads, memory_limit_bytes)
        if not self.handle:
            raise OutOfMemory(f"{threads} threads cannot be started; ask for fewer")

    def close(self) -> None:
        if self.handle:
            self._library.farmcpu_engine_free(self.handle)
            self.handle = None


class LoadedPlan:
    """A packed plan, open. One run at a time."""

    def __init__(self, engine: Engine, blob: mmap.mmap) -> None:
        """Raises `BadArgument` for a blob that is damaged or not of this instruction set,
        and `OutOfMemory` if it needs more than the engine gives one."""
        self._library = native = library.load()
        self._blob = np.frombuffer(blob, np.uint8)
        self._handle: int | None = library.open_handle(
            native.farmcpu_plan_open, engine.handle, self._blob.ctypes.data, self._blob.size
        )
        self.input_words: int = native.farmcpu_plan_input_words(self._handle)
        self._words = (self.input_words, native.farmcpu_plan_output_words(self._handle))

    def run(self, data: bytes) -> bytes:
        """See `drivers.base.InferSession.run`. Raises `BadArgument` for a wrong length."""
        return library.run_words(self._library.farmcpu_plan_run, self._handle, data, self._words)

    def time_layers(self, data: bytes, runs: int) -> list[float]:
        """Seconds that each layer takes of one run, on average."""
        seconds = np.zeros(self._library.farmcpu_plan_layers(self._handle))
        to = seconds.ctypes.data_as(POINTER(c_double))
        time = self._library.farmcpu_plan_time
        library.run_words(time, self._handle, data, self._words, runs, to)
        return list(seconds / runs)

    def close(self) -> None:
        """Safe to repeat."""
        if self._handle:
            self._library.farmcpu_plan_free(self._handle)
            self._handle = None
            del self._blob


class InferRuns:
    """A `drivers.base.InferSession`: models resident by id, within one memory limit each."""

    def __init__(
        self,
        memory_limit_bytes: int,
        threads: int | None = None,
        blob_folder: str | Path | None = None,
        blob_budget_bytes: int = DEFAULT_BUDGET_BYTES,
    ) -> None:
        """``threads``: by default as many as this process has processors. ``blob_folder``: where
        packed models are kept for the next time, within ``blob_budget_bytes``; by default they
        are packed in memory, and anew after a restart."""
        self._memory_limit_bytes = memory_limit_bytes
        self._engine = Engine(threads or len(os.sched_getaffinity(0)), memory_limit_bytes)
        self._cache = BlobCache(Path(blob_folder), blob_budget_bytes) if blob_folder else None
        self._models: dict[str, LoadedPlan] = {}

    def load(self, model_id: str, program: Program) -> None:
        """Raises `NotSupported` for a program that cannot be proved to stay within 32 bits or has
        an operator that is not here, `BadArgument` for a malformed one, and `OutOfMemory`."""
        if model_id in self._models:
            return
        identity = Identity(digest_id(model_id), digest_program(program))
        blob = self._cache.find(model_id, identity.program) if self._cache else None
        if blob is None or not self._open(model_id, blob):
            packed = self._pack(model_id, program, identity)
            self._models[model_id] = LoadedPlan(self._engine, packed)

    def recall(self, model_id: str) -> bool:
        """Make a model resident from what an earlier `load` of this id left on disk, without its
        program. False where nothing sound is there: `load` it then. Raises `OutOfMemory`."""
        if model_id in self._models:
            return True
        blob = self._cache.find(model_id) if self._cache else None
        return blob is not None and self._open(model_id, blob)

    def unload(self, model_id: str) -> None:
        if model := self._models.pop(model_id, None):
            model.close()

    def run(self, model_id: str, data: bytes) -> bytes:
        """Raises `BadArgument` for a model that is not loaded or a wrong input length."""
        return self.model(model_id).run(data)

    def model(self, model_id: str) -> LoadedPlan:
        if model_id not in self._models:
            raise BadArgument(f"model {model_id} is not loaded")
        return self._models[model_id]

    def close(self) -> None:
        for model_id in list(self._models):
            self.unload(model_id)
        self._engine.close()

    def _open(self, model_id: str, blob: mmap.mmap) -> bool:
        """Whether a blob from disk could be opened; one that cannot is made anew."""
        try:
            self._models[model_id] = LoadedPlan(self._engine, blob)
        except BadArgument as error:
            log.warning("the packed model %s is made anew: %s", model_id, error)
            return False
        return True

    def _pack(self, model_id: str, program: Program, identity: Identity) -> mmap.mmap:
        write = functools.partial(
            write_blob, fuse(program), identity, memory_limit_bytes=self._memory_limit_bytes
        )
        if self._cache is None:
            return write()
        try:
            return self._cache.store(model_id, write)
        except OSError as error:
            log.warning("the packed model %s is not kept: %s", model_id, error)
            return write()
