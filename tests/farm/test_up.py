"""The real farm, as `farmctl up` runs it: every process, the CPU, real proof of work."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest

from tests.farm.running import belongings, running, until


@pytest.mark.timeout(400)
def test_farm_starts_mines_switches_stops_and_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home) as farm:
        assert re.search(r"cpu:0 .* healthy", farm.text)
        assert re.search(r"cuda .* absent", farm.text)
        assert "login?code=" in farm.text
        assert farm.config.admin_token.read_text() not in farm.text
        done = farm.command("switch", "cpu:0", "idle", "--lock")
        assert re.search(r"confirmed by its rig after \d+\.\d\d s", done.stdout), done
        assert farm.overview()["workloads"]["idle"] == 1
        refused = farm.command("switch", "cpu:7", "idle")
        assert (refused.returncode, "there is no device" in refused.stderr) == (1, True)
        assert farm.command("switch", "cpu:0", "--unlock").returncode == 0
        twice = farm.command("up")
        assert (twice.returncode, "running already" in twice.stderr) == (1, True)
        plan, height = farm.overview()["plan_number"], farm.overview()["node"]["height"]
        left = psutil.Process(farm.process.pid).children(recursive=True)
    assert psutil.wait_procs(left, timeout=5)[1] == []
    with running(home) as farm:
        assert farm.overview()["plan_number"] >= plan
        assert farm.overview()["node"]["height"] >= height
        assert len(belongings(home)) > 5
        farm.crash()
        until(lambda: not belongings(home), 30, "the end of all that the supervisor started")
