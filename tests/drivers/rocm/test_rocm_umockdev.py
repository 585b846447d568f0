"""The family on a machine whose kernel seems to have a card: umockdev stands in for ``/sys`` below
everything, the driver's own root included."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CARD = Path(__file__).with_name("radeon_rx_7900_xtx.umockdev")
SCRIPT = """
import json
from drivers.rocm.driver import Driver

driver = Driver()
(device,) = driver.discover()
applied = device.apply("power_limit_watts", 310)
device.restore()
print(json.dumps({
    "probe": driver.probe().status,
    "id": device.info.hardware_id,
    "watts": device.snapshot().values["power_watts"],
    "health": device.health().status,
    "set": applied.read_back,
    "restored": device.settings()["power_limit_watts"],
}))
"""


def test_a_card_below_the_real_sys() -> None:
    runner = shutil.which("umockdev-run")
    if runner is None:
        pytest.skip("1 card not tried: Debian's package umockdev is not installed")
    command = [runner, "-d", str(CARD), "--", sys.executable, "-c", SCRIPT]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=root)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "probe": "pass",
        "id": "amd-a3c1d2e4f5061728",
        "watts": 303,
        "health": "ok",
        "set": 310,
        "restored": 339,
    }
