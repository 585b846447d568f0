"""``farmctl doctor`` on this machine, whatever it has."""

from __future__ import annotations

import ctypes
import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_nvml import Machine
from nvml_fixtures import library, machine
from typer.testing import CliRunner

from drivers import registry
from drivers.base import Capability, Health, HealthStatus, SelfTest
from drivers.fpga.device import FpgaDevice
from drivers.fpga.pynq_boards import Board
from farmctl import watch
from farmctl.cli import build_app
from farmctl.commands import doctor

__all__ = ["library", "machine"]

RUNNER = CliRunner()


def test_json_tells_families_and_self_tests() -> None:
    answer = RUNNER.invoke(build_app(), ["doctor", "--json"])
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    families = {f["family"]: f for f in found["families"]}
    assert {"cpu", "cuda", "fpga", "opencl", "rocm", "usbstick"} <= families.keys()
    assert all(f["status"] == "pass" or f["reason"] for f in families.values())
    cpu = next(d for d in found["devices"] if d["id"] == "cpu:0")
    assert {"cuckoo", "infer"} <= {t["capability"] for t in cpu["self_tests"]}
    assert all(t["passed"] for t in cpu["self_tests"])


def test_table_shows_a_failed_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that answers wrongly is reported, and the others are still examined."""

    def fail(family: str, device_id: str, capability: Capability) -> SelfTest:
        return SelfTest(capability, False, "the cycle is not the known one", 0.1)

    monkeypatch.setattr(doctor.selftest, "prove", fail)
    answer = RUNNER.invoke(build_app(), ["doctor"], env={"COLUMNS": "80"})
    assert answer.exit_code == 0
    assert "FAIL" in answer.stdout
    assert "not the known one" in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80
    assert all(name in answer.stdout for name in registry.families())


def test_watching_shows_readings_until_it_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    naps = iter([None, None, None])

    def nap(seconds: float) -> None:
        if next(naps, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=nap, monotonic=time.monotonic))
    answer = RUNNER.invoke(build_app(), ["doctor", "--watch"], env={"COLUMNS": "80"})
    assert answer.exit_code == 0, answer.output
    assert "cpu:0" in answer.stdout and "Ctrl-C ends this" in answer.stdout
    naps = iter([None, None])
    answer = RUNNER.invoke(build_app(), ["doctor", "--watch", "--json"])
    first = json.loads(answer.stdout.splitlines()[0])
    assert any(line["device"] == "cpu:0" for line in first)


def test_a_gpu_that_moved_up_is_watched_as_what_it_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "families", lambda: ["cuda"])
    watched = watch.Watched()
    try:
        watched.look()
        models = [line["model"] for line in watched.lines()]
        first, second = (ctypes.byref(machine.gpus[n]) for n in (0, 1))
        ctypes.memmove(first, second, ctypes.sizeof(machine.gpus[0]))
        machine.count = 1
        watched.look()
        (line,) = watched.lines()
        assert (line["device"], line["model"]) == ("cuda:0", models[1])
    finally:
        watched.stop()


def test_an_fpga_is_shown_with_its_design() -> None:
    device = FpgaDevice(0, Board("Pynq-Z2", "xilinx0", "4.0.0", None), Path("/"))
    table = doctor.device_table(doctor.Examined(device, Health(HealthStatus.OK), ()))
    assert "design farmcore 16 × 16 for xc7z020clg400-1, meant for 100 MHz" in str(table.caption)
