"""`farmctl node economics` on a terminal and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from farmctl.cli import build_app
from farmctl.errors import ConfigError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARMCTL_HOME", str(tmp_path))
    monkeypatch.setenv("FARMCTL_NODE_PORT", "1")  # where nothing answers
    monkeypatch.setenv("COLUMNS", "180")


def run(*words: str) -> str:
    done = CliRunner().invoke(build_app(), ["node", "economics", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_both_schedules_stand_side_by_side() -> None:
    text = run("--chain", "mainnet", "--years", "4")
    first = next(line for line in text.splitlines() if "2,102,400" in line).split()
    assert first[2:5] == ["7", "14,716,800", "164,509,258"]
    assert first[-2:] == ["18,750,000", "168,542,458"]
    assert "41,772,084" in text  # what block 3,230,000 gives besides


def test_a_farm_s_own_coin_has_one_schedule_and_a_missing_node_is_said() -> None:
    text = run("--years", "1")
    assert "whitepaper" not in text and "no node answers" in text


def test_programs_get_exact_wei() -> None:
    found = json.loads(run("--chain", "mainnet", "--json", "--years", "2"))
    assert found["years"][1]["supply_wei"] == str((149_792_458 + 2 * 14_716_800) * 10**18)
    assert found["years"][1]["stated_mined_wei"] == str(18_750_000 * 10**18)
    assert found["node"] is None


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="no network"):
        run("--chain", "nowhere")
