"""Chains come in the same each way, and the cost is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import blocks, sync


@pytest.mark.parametrize(("kind", "way"), [("infer", "straight"), ("transfers", "service")])
def test_a_chain_comes_in(
    kind: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(blocks.tempfile, "tempdir", None)
    row = sync.measure(kind, way, 20)
    assert row["blocks_per_second"] > 0 and row["transactions_per_second"] > 0
    assert row["node_megabytes"] > 10
    assert (row["worker_megabytes"] > 10) == (way == "service")
    assert (row["rpc_p99_milliseconds"] is not None) == (way == "service")
