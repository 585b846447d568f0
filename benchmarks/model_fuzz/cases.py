"""One case: something of the corpus, damaged, given to what reads it."""

from __future__ import annotations

import contextlib
import mmap
import random
from collections.abc import Callable

from benchmarks.model_fuzz.corpus import Model, make_inputs, make_models
from benchmarks.model_fuzz.damage import (
    damage_attributes,
    damage_bytes,
    damage_symbol,
    damage_text,
    repair_shapes,
)
from drivers.cpu import library
from drivers.cpu.blob import Identity, write_blob
from drivers.cpu.blob_format import Header
from drivers.cpu.infer import Engine, InferRuns, LoadedPlan
from drivers.cpu.loaded_program import LoadedProgram, flatten, parameter_words
from drivers.errors import BadArgument, DriverError, NotSupported, OutOfMemory
from drivers.kernels.infer.fusion import fuse
from node.lowering import encode_heads, lower
from node.models.errors import MalformedModel
from node.models.input_file import read_array, read_input
from node.spec.cvm import CvmLoadError, CvmRunError, Graph, load, run
from node.spec.cvm.execution import decode_input

#: What is larger is read and proved, but not run.
OPERATIONS_LIMIT, STORAGE_LIMIT = 2_000_000, 16 << 20
MEMORY_BYTES = 64 << 20
_CHECKSUM_END = Header.checksum.offset + Header.checksum.size
_NOBODY = Identity(bytes(32), bytes(32))
Refusal = (BadArgument, NotSupported, OutOfMemory)


class Cases:
    """The corpus, and the ways to damage it."""

    def __init__(self) -> None:
        self._models, self._inputs = make_models(), make_inputs()
        self._engine = Engine(1, MEMORY_BYTES)
        self._ways: tuple[Callable[[random.Random], str], ...] = (
            *(self._take_symbol, self._take_attributes, self._take_attributes),
            *(self._take_parameters, self._take_files, self._take_input, self._take_text),
            *(self._take_blob, self._take_sealed_blob),
        )

    def take(self, number: int) -> str:
        """The outcome in words; raises where it is none that should be."""
        chance = random.Random(number)
        return chance.choice(self._ways)(chance)

    def _take_symbol(self, chance: random.Random) -> str:
        model = chance.choice(self._models)
        damaged = damage_symbol(chance, model.symbol)
        return _try_model(chance, damaged, model.parameters)

    def _take_attributes(self, chance: random.Random) -> str:
        model = chance.choice(self._models)
        damaged = repair_shapes(damage_attributes(chance, model.symbol))
        return _try_model(chance, damaged, model.parameters)

    def _take_parameters(self, chance: random.Random) -> str:
        model = chance.choice(self._models)
        return _try_model(chance, model.symbol, damage_bytes(chance, model.parameters))

    def _take_files(self, chance: random.Random) -> str:
        model, other = chance.choice(self._models), chance.choice(self._models)
        return _try_model(chance, damage_bytes(chance, model.symbol), other.parameters)

    def _take_input(self, chance: random.Random) -> str:
        content = damage_bytes(chance, chance.choice(self._inputs))
        try:
            read_input(content)
            read_array(content)
        except MalformedModel:
            return "input: refused"
        return "input: read"

    def _take_text(self, chance: random.Random) -> str:
        """A program as the library reads it, without the loader that proves it."""
        program = lower(_sound(chance, self._models))
        text = flatten(program)
        for _ in range(chance.randrange(1, 4)):
            lines = text.split("\n")
            at = chance.randrange(len(lines))
            lines[at] = damage_text(chance, lines[at])
            text = "\n".join(lines)
        try:
            LoadedProgram.of_text(text.encode(), parameter_words(program), MEMORY_BYTES).close()
        except Refusal:
            return "program: refused"
        return "program: loaded"

    def _take_blob(self, chance: random.Random) -> str:
        """A packed plan that has been damaged: the checksum must tell."""
        content = self.pack(chance)
        damaged = damage_bytes(chance, content)
        try:
            LoadedPlan(self._engine, map_bytes(damaged)).close()
        except Refusal:
            return "packed plan: refused"
        if damaged != content:
            raise AssertionError("a damaged plan was opened")
        return "packed plan: unchanged"

    def _take_sealed_blob(self, chance: random.Random) -> str:
        """One with a right checksum about wrong records: refused or run, but no crash."""
        content = bytearray(self.pack(chance))
        # The records, and the arrays behind them, but not what says whose the plan is.
        begin, end = Header.workspace_bytes.offset, len(content)
        last = min(end, 4096) if chance.random() < 0.7 else end
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(begin, last)
            content[at] = chance.choice((0, 1, 255, content[at] ^ 1 << chance.randrange(8)))
        seal(content)
        try:
            plan = LoadedPlan(self._engine, map_bytes(bytes(content)))
        except Refusal:
            return "resealed plan: refused"
        try:
            plan.run(chance.randbytes(4 * plan.input_words))
        except DriverError:
            return "resealed plan: refused as it runs"
        finally:
            plan.close()
        return "resealed plan: run"

    def pack(self, chance: random.Random) -> bytes:
        """A sound packed plan."""
        program = lower(_sound(chance, self._models))
        with contextlib.closing(write_blob(fuse(program), _NOBODY)) as blob:
            return bytes(blob)


def seal(content: bytearray) -> None:
    """Put the checksum of its content into a packed plan."""
    native = library.load()
    behind = bytes(content[_CHECKSUM_END:])
    checksum = native.farmcpu_plan_checksum(behind, len(behind))
    place = slice(Header.checksum.offset, _CHECKSUM_END)
    content[place] = checksum.to_bytes(Header.checksum.size, "little")


def map_bytes(content: bytes) -> mmap.mmap:
    """Memory that is aligned as a file's is."""
    memory = mmap.mmap(-1, max(len(content), 1))
    memory[: len(content)] = content
    return memory


def _sound(chance: random.Random, models: list[Model]) -> Graph:
    """An undamaged model that a device can run."""
    while True:
        graph = chance.choice(models).graph()
        try:
            lower(graph)
        except NotSupported:
            continue
        return graph


def _try_model(chance: random.Random, symbol: bytes, parameters: bytes) -> str:
    try:
        graph = load(symbol, parameters, extended=chance.random() < 0.9)
        operations = graph.operations()
    except CvmLoadError:
        return "model: refused"
    if operations > OPERATIONS_LIMIT or graph.storage_bytes() > STORAGE_LIMIT:
        return "model: too large to run here"
    data = chance.randbytes(graph.input_bytes)
    try:
        expected = run(graph, data)
    except CvmRunError:
        return "model: cannot run"
    return _compare(graph, data, expected)


def _compare(graph: Graph, data: bytes, expected: bytes) -> str:
    runs = InferRuns(MEMORY_BYTES, threads=1)
    try:
        runs.load("model", lower(graph))
        answer = runs.run("model", decode_input(graph, data).astype("<i4").tobytes())
    except NotSupported:
        return "model: run by the reference alone"
    finally:
        runs.close()
    if encode_heads(graph, answer) != expected:
        raise AssertionError("the device's answer is not the reference's")
    return "model: run, equal"
