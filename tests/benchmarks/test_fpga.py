"""The report on the FPGA core: what is counted, and what was not run and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import fpga, fpga_resources
from drivers.errors import DriverError, DriverMissing

#: What yosys says of a design, with a shift register and distributed memory in it.
CELLS = {"DSP48E1": 3, "LUT2": 10, "LUT6": 5, "SRL16E": 2, "RAM64M": 1, "FDRE": 7, "FDSE": 1}
YOSYS = """#!/bin/sh
[ "$1" = -V ] && { echo "Yosys 0.0"; exit; }
path=$(echo "$3" | sed 's/.*-o \\([^ ]*\\) .*/\\1/')
echo '%s' >"$path"
exit %d
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search path with nothing of its own before the system's shell tools."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def install_yosys(path: Path, status: int = 0) -> None:
    counts = {"design": {"num_cells_by_type": {**CELLS, "RAMB36E1": 2, "RAMB18E1": 3}}}
    (path / "yosys").write_text(YOSYS % (json.dumps(counts), status))
    (path / "yosys").chmod(0o755)


def test_resources_are_summed_by_kind(path: Path) -> None:
    install_yosys(path)
    uses = {use.resource: use.used for use in fpga_resources.synthesise()}
    assert uses == {"DSP48E1": 3, "LUT": 10 + 5 + 2 + 4, "FF": 8, "BRAM36": 4}
    assert fpga_resources.version() == "Yosys 0.0"


def test_a_failed_synthesis_is_no_report(path: Path) -> None:
    install_yosys(path, status=1)
    with pytest.raises(DriverError, match="yosys failed"):
        fpga_resources.synthesise()


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(count: int) -> None:
        raise DriverMissing("no simulator")

    monkeypatch.setattr(fpga_resources.shutil, "which", lambda name: None)
    monkeypatch.setattr(fpga, "simulated_environment", lack)
    report = fpga.run(quick=False)
    assert "yosys is not installed" in report["synthesis"]
    assert report["simulation"] == "not run: no simulator"
    assert "layers" not in report and "resources" not in report


def test_cycles_are_counted_in_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fpga, "QUICK", ("resnet18 dense",))
    try:
        fpga.simulated_environment(1)
    except DriverMissing as missing:
        pytest.skip(str(missing))
    report = fpga.run(quick=True)
    (dense,) = [row for row in report["layers"] if row["layer"] == "resnet18 dense"]
    assert dense["macs"] == 512_000 and dense["read_bytes"] > 512_000
    (net,) = report["nets_estimated"]
    assert net["macs_on_core"] == net["macs"]
    assert net["estimated_images_per_second"] == pytest.approx(100e6 / net["cycles"])
