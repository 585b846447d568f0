"""Whole nets under each instruction set and several threads: the general operators' bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from drivers.cpu import layers as native
from drivers.cpu import library
from drivers.cpu.infer import InferRuns
from drivers.cpu.loaded_program import LoadedProgram
from drivers.errors import NotSupported
from drivers.program import Program
from farmctl.conformance import cvm_ops
from node.lowering import encode_heads, lower
from node.spec.cvm import load
from node.spec.cvm.execution import decode_input
from tests.support.programs import ProgramWriter, RandomNet

MEMORY_BYTES = 1 << 28


def general_answer(program: Program, data: bytes) -> bytes:
    loaded = LoadedProgram(program, MEMORY_BYTES)
    answer = loaded.run(data)
    loaded.close()
    return answer


def draw(random: np.random.Generator, shape: tuple[int, ...]) -> bytes:
    """Extremes alone, or anything."""
    choices = np.array([-127, 127]) if random.random() < 0.5 else np.arange(-127, 128)
    return random.choice(choices, shape).astype("<i4").tobytes()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_random_nets(isa, threads):
    runs = InferRuns(MEMORY_BYTES, threads)
    for seed in range(12):
        random = np.random.default_rng(seed)
        program = RandomNet(random, channels=int(random.choice([4, 9, 40]))).build(6)
        data = draw(random, program.input_shape)
        runs.load("net", program)
        assert runs.run("net", data) == general_answer(program, data), f"seed {seed}"
        runs.unload("net")
    runs.close()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_models_of_the_vectors(isa, threads, vector_folder):
    runs = InferRuns(MEMORY_BYTES, threads)
    for model in json.loads((vector_folder / "cvm_models.json").read_text())["cases"]:
        graph = load(model["symbol"].encode(), bytes.fromhex(model["params_hex"]))
        runs.load(model["name"], lower(graph))
        for case in model["cases"]:
            values = decode_input(graph, bytes.fromhex(case["kernel_input_hex"]))
            answer = runs.run(model["name"], values.astype("<i4").tobytes())
            assert encode_heads(graph, answer).hex() == case["kernel_output_hex"], model["name"]
    runs.close()


def test_operators_of_the_vectors(isa, vector_folder):
    """Every operator that has a result and can be lowered, on three threads."""
    runs, count = InferRuns(MEMORY_BYTES, 3), 0
    for case in json.loads((vector_folder / "cvm_ops.json").read_text())["cases"]:
        if case.get("error"):
            continue
        graph = load(*cvm_ops.build_model(case))
        try:
            program = lower(graph)
        except NotSupported:
            continue
        runs.load("op", program)
        values = decode_input(graph, cvm_ops.encode_input(case, graph)).astype("<i4")
        answer = encode_heads(graph, runs.run("op", values.tobytes()))
        runs.unload("op")
        assert np.frombuffer(answer, graph.output_type).tolist() == case["output"], case["op"]
        count += 1
    assert count >= 100
    runs.close()


def trap() -> Program:
    """Every product is 255 · 127 or 255 · −127: pairs of them pass 16 bits."""
    writer = ProgramWriter((1, 64, 6, 6), precision=9)
    unsigned = writer.add("clip", [0], (1, 64, 6, 6), a_min=0, a_max=255)
    signs = np.where(np.arange(32)[:, None, None, None] % 2, 127, -127)
    weight = writer.constant(np.broadcast_to(signs, (32, 64, 3, 3)))
    return writer.finish([writer.add("conv2d", [unsigned, weight], (1, 32, 4, 4), groups=1)])


def test_nothing_saturates(isa):
    program = trap()
    runs = InferRuns(MEMORY_BYTES, 1)
    runs.load("trap", program)
    data = np.full(program.input_shape, 255, "<i4").tobytes()
    found = np.frombuffer(runs.run("trap", data), "<i4").reshape(32, 16)
    expected = 64 * 9 * 255 * 127 * np.where(np.arange(32) % 2, 1, -1)
    assert (found == expected[:, None]).all()
    runs.close()


def show_sets(forced: str) -> list[str]:
    """Of inference and of all else, in a process whose environment names one; or the error."""
    command = (
        "from drivers.cpu import layers, library\n"
        "from drivers.errors import DriverMissing\n"
        "try: print(layers.isa(), library.isa(), sep='\\n')\n"
        "except DriverMissing as error: print(error)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", command], env={**os.environ, library.ISA_VARIABLE: forced},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return shown.stdout.splitlines()


def test_the_environment_forces_a_set(isa):
    assert show_sets(isa) == [isa, isa.removesuffix("vnni")]


def test_an_environment_that_names_nothing_forces_nothing():
    assert show_sets("")[0] == native.isa()


def test_the_environment_cannot_force_what_is_not_there():
    (refusal,) = show_sets("avx1024")
    assert refusal.startswith("FARMCPU_ISA is avx1024, an instruction set that this processor")
