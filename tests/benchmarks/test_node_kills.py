"""The node under kill -9, in small: nothing that it said yes to is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import blocks, node_kills


def test_kills_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(blocks.tempfile, "tempdir", None)
    monkeypatch.setattr(node_kills, "QUICK_COUNT", 60)
    monkeypatch.setattr(node_kills, "BUSY", 1.0)
    monkeypatch.setattr(node_kills, "LIFE_SECONDS", 0.5)
    (row,) = node_kills.run(quick=True, kills=6, seed=3)["rows"]
    assert row["kills"] >= 6 and row["of_worker"] and row["of_node"] + row["of_both"]
    assert row["blocks_imported"] >= 8
    assert (row["corruptions"], row["lost"]) == (0, 0)
