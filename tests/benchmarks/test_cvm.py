"""The benchmark of the virtual machine, and that it compares nothing that differs."""

from __future__ import annotations

import pytest

from benchmarks import cvm
from benchmarks.cvm import PEERS, UNTIMED, check_peer, loop, make_blocks, measure_loop


def test_without_its_peers_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, _ in PEERS.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(cvm, "LOOPS", {"count": ""})
    rows = cvm.run(quick=True)["rows"]
    assert [row["case"] for row in rows] == ["count", "transfers", "empty"]
    assert all(row["fast"] > 0 and row["readable"] > 0 for row in rows)
    assert all(row[peer] is row[f"x {peer}"] is None for row in rows for peer in PEERS)
    assert "py-evm: absent (FARMCTL_PYEVM_PYTHON is not set)" in capsys.readouterr().out


def test_a_peer_that_uses_other_gas_is_refused() -> None:
    code, gas = loop("", 10), 3 + 10 * 26
    row = measure_loop("count", code, {"py-evm": {"count": {"gas": gas, "seconds": 1.0}}})
    assert row["py-evm"] == gas / 1e6
    with pytest.raises(RuntimeError, match="py-evm uses 5 gas"):
        measure_loop("count", code, {"py-evm": {"count": {"gas": 5, "seconds": 1.0}}})


def test_transfers_succeed_and_a_peer_must_leave_the_same_storage() -> None:
    blocks = make_blocks(1, 3)
    timed = blocks[UNTIMED:]
    gas = [block.header.gas_used for block in timed]
    assert len(timed) == 1
    assert 3 * 50_000 < gas[0] < 3 * 55_000
    check_peer("eels", {"gas": gas, "storage_root": "ab"}, timed, "ab")
    with pytest.raises(RuntimeError, match="eels leaves other storage"):
        check_peer("eels", {"gas": gas, "storage_root": "ab"}, timed, "cd")
