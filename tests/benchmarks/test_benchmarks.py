"""The benchmarks run, are right before they are timed, and keep what they found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as runner


def test_every_benchmark_is_found() -> None:
    assert {"cuckoo", "infer"} <= set(runner.names())
    assert "machine" not in runner.names()


def test_arguments_go_to_the_benchmark_named_alone_and_its_result_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    runner.main(["cuckoo", "--quick", "--parts", "phases", "--sizes", "19"])
    record = json.loads((tmp_path / "cuckoo.json").read_text())
    assert record["phases"][0]["phase"] == "generation"
    assert "rows" not in record
    assert record["machine"]["devices"][0]["id"] == "cpu:0"
    with pytest.raises(SystemExit):
        runner.main(["infer", "--quick", "--parts", "phases"])
    assert "--parts" in capsys.readouterr().err


def test_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["abacus"])
    assert "no benchmark abacus" in capsys.readouterr().err
