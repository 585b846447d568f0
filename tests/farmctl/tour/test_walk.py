"""The whole tour on a real farm: every process, PyTorch in its sandbox, real blocks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.farm.running import RunningFarm, running

TOUR_SECONDS = 600
#: What the tour must have found, in its order.
FOUND = (
    r"quote for “digits, preempted”: \d+\.\d{6} EUR",
    r"does train \(sold, interruptible: job digits, preempted\)",
    r"preempted by a manual switch: [\d.]+ s until its rig confirmed it; checkpoint at step \d+",
    r"device given back: [\d.]+ s until",
    r"does mine \(nothing sold",
    r"identical over 800 steps",
    r"invoice for “digits, preempted”: \d+\.\d{6} EUR for [\d.]+ device-seconds",
    r"accuracy on 360 held-out digits: 9\d\.\d\d% before \(float32\), 9\d\.\d\d% after \(INT8\)",
    r"model in the storage layer: infohash [0-9a-f]{40}",
    r"model on the chain: 0x[0-9a-fA-F]{40}",
    r"INFER by a contract: (18|19|20) of 20 digits named right",
    r"verified: 20 by rig-a/cpu:0; the CVM reference agreed on all 20",
    r"endorphin charged: \d+ gas",
    r"author's share: 0\.000200000 coins = 20 × 10000 gas, arrived",
    r"switch cpu:0 idle --lock: confirmed by its rig after \d+\.\d\d s",
    r"switch cpu:0 --unlock: confirmed by its rig after \d+\.\d\d s",
)


def walk(farm: RunningFarm) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "farmctl", "tour"),
        env=farm.environment,
        capture_output=True,
        text=True,
        timeout=TOUR_SECONDS,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(2 * TOUR_SECONDS + 300)
def test_the_tour_walks_twice_and_refuses_a_locked_device(tmp_path: Path) -> None:
    with running(tmp_path / "home") as farm:
        assert farm.command("switch", "cpu:0", "idle", "--lock").returncode == 0
        locked = walk(farm)
        assert (locked.returncode, "--unlock" in locked.stderr) == (1, True), locked
        assert farm.command("switch", "cpu:0", "--unlock").returncode == 0
        for _ in range(2):
            done = walk(farm)
            assert done.returncode == 0, done.stdout + done.stderr
            place = 0
            for pattern in FOUND:
                match = re.compile(pattern).search(done.stdout, place)
                assert match is not None, f"{pattern}\n{done.stdout}"
                place = match.start()
        models = farm.client.get("/v1/models")
        assert [(m["calls"], m["usable"]) for m in models] == [(20, True)] * 2
        invoices = farm.client.get("/v1/invoices")
        assert len(invoices) == len({each["job"] for each in invoices}) == 4
        assert sum(e["amount_micro"] for e in farm.client.get("/v1/ledger")) == 0
