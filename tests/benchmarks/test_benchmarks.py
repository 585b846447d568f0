"""The benchmarks run, are right before they are timed, and keep what they found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as runner
from benchmarks import cuckoo, infer


def test_every_benchmark_is_found() -> None:
    assert {"cuckoo", "infer"} <= set(runner.names())
    assert "machine" not in runner.names()


def test_result_is_kept_with_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setattr(infer, "NETS", infer.NETS[:1])
    record = json.loads(runner.measure("infer", quick=True).read_text())
    assert record["rows"][0]["median_ms"] > 0
    assert record["machine"]["devices"][0]["id"] == "cpu:0"


def test_cuckoo_counts_verified_cycles() -> None:
    row = cuckoo.measure(14, (4, 8), 84)
    assert row["graphs_per_second"] > 0
    assert row["cycles"] > 0
