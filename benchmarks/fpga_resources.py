"""What the FPGA core takes of a chip, from yosys; and what that might draw."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import DriverError, DriverMissing
from drivers.fpga.simulation.build import CORE

SECONDS = 1800
#: XC7Z020, data sheet DS190.
CHIP = "xc7z020"
CHIP_HAS = {"DSP48E1": 220, "LUT": 53_200, "FF": 106_400, "BRAM36": 140}
#: LUTs that a primitive of distributed memory takes.
MEMORY_LUTS = {"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4}

# Rules of thumb for 28 nm at 100 MHz and an eighth of the bits toggling, in watts each. They
# are assumptions: nothing here has been measured or placed.
WATTS_AT_100_MHZ = {"DSP48E1": 1.1e-3, "LUT": 7e-6, "FF": 4e-6, "BRAM36": 2.0e-3}
PROCESSOR_AND_STATIC_WATTS = 1.7


@dataclass(frozen=True)
class Use:
    """Of one kind of resource."""

    resource: str
    used: int
    available: int
    percent: float


def synthesise() -> list[Use]:
    """Counts after `synth_xilinx` for the chip's family. Raises `DriverMissing` without yosys."""
    yosys = shutil.which("yosys")
    if not yosys:
        raise DriverMissing("yosys is not installed (Debian: apt install yosys)")
    with tempfile.TemporaryDirectory() as folder:
        counted = Path(folder) / "counts.json"
        sources = " ".join(str(path) for path in sorted(CORE.glob("*.v")))
        script = (
            f"read_verilog {sources}; synth_xilinx -family xc7 -top farmcore -flatten; "
            f"tee -q -o {counted} stat -json"
        )
        done = subprocess.run(
            [yosys, "-q", "-p", script], capture_output=True, text=True, timeout=SECONDS
        )
        if done.returncode:
            raise DriverError(f"yosys failed: {done.stderr.strip()[-2000:]}")
        cells = json.loads(counted.read_text())["design"]["num_cells_by_type"]
    return [
        Use(name, used, CHIP_HAS[name], 100 * used / CHIP_HAS[name])
        for name, used in _summarise(cells).items()
    ]


def version() -> str:
    yosys = shutil.which("yosys")
    if not yosys:
        raise DriverMissing("yosys is not installed")
    return subprocess.run([yosys, "-V"], capture_output=True, text=True).stdout.strip()


def estimate_watts(uses: list[Use], clock_hertz: float) -> float:
    """Of board's chip with its processor, at that clock; an estimate."""
    dynamic = sum(WATTS_AT_100_MHZ[use.resource] * use.used for use in uses)
    return PROCESSOR_AND_STATIC_WATTS + dynamic * clock_hertz / 100e6


def _summarise(cells: dict[str, int]) -> dict[str, int]:
    luts = sum(count for name, count in cells.items() if name.startswith("LUT"))
    # A shift register of 16 and 32 bits is one LUT.
    luts += sum(count for name, count in cells.items() if name.startswith("SRL"))
    luts += sum(cells.get(name, 0) * each for name, each in MEMORY_LUTS.items())
    flips = sum(cells.get(name, 0) for name in ("FDRE", "FDSE", "FDCE", "FDPE"))
    blocks = cells.get("RAMB36E1", 0) + (cells.get("RAMB18E1", 0) + 1) // 2
    return {"DSP48E1": cells.get("DSP48E1", 0), "LUT": luts, "FF": flips, "BRAM36": blocks}
