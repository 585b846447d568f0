"""Inferences of the vectors by devices: equal to the official runtime's, counted, and named where
a device lacks something."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from drivers.cpu.infer import InferRuns
from drivers.errors import DeviceLost, DriverError, DriverMissing, NotSupported, SelfTestFailed
from drivers.fpga.simulated_boards import COUNT_VARIABLE
from drivers.opencl.driver import CPU_VARIABLE
from drivers.program import Program
from drivers.usbstick.driver import PORTS_VARIABLE
from farmctl.cli import build_app
from farmctl.commands.conformance import judge_inferences
from farmctl.conformance import _engine
from farmctl.conformance._engine import DeviceEngine
from farmctl.conformance._machine import CHECKED
from farmctl.errors import NotFound, Unavailable
from node.spec.cvm import run
from tests.support.isas import ISAS, skip_without
from tests.support.sticks import build, plugged

FILES = ("cvm_models", "cvm_ops", "infer_evm")
MEMORY_BYTES = 1 << 28


def run_command(path: Path, engine: str) -> Result:
    """The device's worker is a process of its own, with the environment of now."""
    return CliRunner().invoke(build_app(), ["conformance", str(path), "--engine", engine])


def skip_if_absent(done: Result) -> None:
    """A family that is there and broken is not absent."""
    if isinstance(done.exception, Unavailable) and " is ABSENT: " in str(done.exception):
        pytest.skip(f"not run: {done.exception}")


def expect_all(done: Result, device: str) -> None:
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == [*FILES, "total"]
    assert lines[3].endswith(" passed, 0 failed")
    assert lines[4].startswith(f"{device}: ")


@pytest.mark.parametrize("isa", ISAS)
def test_cpu_on_every_instruction_set(
    vector_folder: Path, monkeypatch: pytest.MonkeyPatch, isa: str
) -> None:
    skip_without(isa)
    monkeypatch.setenv("FARMCPU_ISA", isa)
    done = run_command(vector_folder, "cpu")
    expect_all(done, "cpu:0")
    # What only the reference runs is cvm_left_shift, which fails on every input.
    assert done.output.splitlines()[4] == "cpu:0: 152 inferences, 3 by the reference alone"
    assert "3 × op: cvm_left_shift never runs" in done.output


def test_opencl_on_a_processor(vector_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CPU_VARIABLE, "1")
    done = run_command(vector_folder, "opencl")
    skip_if_absent(done)
    expect_all(done, "opencl:0")
    assert "opencl:0: 152 inferences, 3 by the reference alone" in done.output


@pytest.mark.slow
def test_the_simulated_fpga(
    vector_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COUNT_VARIABLE, "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run_command(vector_folder, "fpga")
    skip_if_absent(done)
    expect_all(done, "fpga:0")


@pytest.mark.slow
def test_a_stick(vector_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with plugged(build("host", tmp_path)) as stick:
        monkeypatch.setenv(PORTS_VARIABLE, stick.port)
        expect_all(run_command(vector_folder, "usbstick"), "usbstick:0")


def test_an_absent_engine_says_why(vector_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PORTS_VARIABLE, raising=False)
    for engine, reason in (
        ("usbstick", "usbstick is ABSENT: no known USB stick"),
        ("abacus", "abacus is ABSENT: no such family"),
    ):
        done = run_command(vector_folder, engine)
        assert done.exit_code == 1 and "passed" not in done.output
        assert str(done.exception).startswith(reason)


@pytest.mark.parametrize(
    ("error", "state"), [(DriverMissing, "ABSENT"), (SelfTestFailed, "BROKEN")]
)
def test_a_device_that_cannot_be_opened_is_absent_or_broken(
    monkeypatch: pytest.MonkeyPatch, error: type[DriverError], state: str
) -> None:
    def fail(device: str) -> None:
        raise error("answers wrongly")

    monkeypatch.setattr(_engine, "open_device", fail)
    with (
        pytest.raises(Unavailable, match=f"cpu is {state}: answers wrongly"),
        _engine.opened_engine("cpu"),
    ):
        pass


class OddSession(InferRuns):
    """A real session of which one thing is wrong."""

    def __init__(self, fault: str) -> None:
        super().__init__(MEMORY_BYTES)
        self.fault = fault

    def load(self, model_id: str, program: Program) -> None:
        if self.fault == "lacks conv2d" and any(step.op == "conv2d" for step in program.steps):
            raise NotSupported("no conv2d here")
        super().load(model_id, program)

    def run(self, model_id: str, data: bytes) -> bytes:
        if self.fault == "dies":
            raise DeviceLost("the worker ended")
        answer = super().run(model_id, data)
        return bytes([answer[0] ^ 1]) + answer[1:] if self.fault == "lies" else answer


@pytest.fixture
def operators(vector_folder: Path, tmp_path: Path) -> Path:
    shutil.copy(vector_folder / "cvm_ops.json", tmp_path)
    return tmp_path / "cvm_ops.json"


@pytest.mark.parametrize("fault", ["lies", "dies"])
def test_a_faulty_device_fails(operators: Path, fault: str) -> None:
    engine = DeviceEngine("odd:0", OddSession(fault))
    (tally,) = judge_inferences(operators, CHECKED, engine.run)
    results = [case for case in tally.cases or () if "error" not in case.name]
    assert tally.failed > 100
    assert any("the worker ended" in case.reason for case in results) == (fault == "dies")


def test_what_a_device_lacks_is_counted_and_run_by_the_reference(operators: Path) -> None:
    engine = DeviceEngine("odd:0", OddSession("lacks conv2d"))
    (tally,) = judge_inferences(operators, CHECKED, engine.run)
    assert tally.failed == 0
    assert engine.refused["no conv2d here"] > 3
    assert f"  {engine.refused['no conv2d here']} × no conv2d here" in engine.report()


def test_only_inferences_are_judged_by_an_engine(tmp_path: Path, vector_folder: Path) -> None:
    shutil.copy(vector_folder / "rewards.json", tmp_path)
    with pytest.raises(NotFound, match="no vectors of inferences"):
        list(judge_inferences(tmp_path, CHECKED, run))
