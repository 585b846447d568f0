"""The Cuckoo benchmark, with this very solver behind the peer's command line as its peer."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cuckoo import comparison, correctness, fidelity, ours, phases, program, run
from benchmarks.cuckoo.cases import CASES, GRIN, Case, choose
from benchmarks.cuckoo.peers import Peers
from drivers.cpu.floor import Floor

CASE = Case(12, GRIN, graphs=100, pairs=2, quick=True)


def write_peer(folder: Path, edge_bits: int) -> Path:
    path = folder / f"cuckaroo_mean_{edge_bits}"
    path.write_text(f'#!/bin/sh\nexec {shlex.join(ours.command(edge_bits, GRIN))} "$@"\n')
    path.chmod(0o755)
    return path


def test_peer_is_found_by_what_it_says(tmp_path: Path) -> None:
    write_peer(tmp_path, 12)
    (tmp_path / "README").write_text("Looking for 42-cycle on cuckaroo13(")
    peers = Peers.find(tmp_path)
    assert peers.of(CASE) == [str(tmp_path / "cuckaroo_mean_12")]
    assert peers.of(replace(CASE, edge_bits=13)) is None
    assert peers.of(replace(CASE, rounds=(4, 8))) is None


def test_no_peer_is_told_and_a_wrong_one_refused(tmp_path: Path) -> None:
    assert Peers.find(None).describe() == {"absent": "no peer was given"}
    with pytest.raises(ValueError, match="holds no program"):
        Peers.find(tmp_path)


def test_pairs_are_measured_on_the_same_graphs(tmp_path: Path) -> None:
    write_peer(tmp_path, 12)
    record = comparison.run([CASE], Peers.find(tmp_path), quick=True)
    row = record["rows"][0]
    assert 0.2 < row["ratio_median"] < 5, "one program against itself"
    assert row["ratio_least"] <= row["ratio_median"] <= row["ratio_most"]
    assert row["graphs_per_second"] > 0
    assert row["memory_mb"] > 0
    assert row["cycles"] > 0


def test_without_a_peer_its_columns_say_so() -> None:
    pairs = [comparison.pair(CASE, Peers.find(None), 1, 0)]
    row = comparison.summarise(CASE, 1, pairs)
    assert row["peer_median_s"] == row["ratio_median"] == row["memory_ratio"] == "absent"
    assert row["ours_median_s"] > 0


def test_missed_cycle_of_the_peer_ends_the_benchmark() -> None:
    found = program.run(ours.command(12, GRIN), 0, 100, 1)
    assert found.cycles
    short = replace(found, cycles=frozenset())
    with pytest.raises(RuntimeError, match="missed a cycle"):
        comparison.check(CASE, comparison.Pair(short, found))
    comparison.check(CASE, comparison.Pair(found, found))


def test_wrong_cycle_of_ours_ends_the_benchmark() -> None:
    wrong = program.Run(1, 1.0, 1.0, 1, frozenset({(0, tuple(range(42)))}))
    with pytest.raises(RuntimeError, match="wrong cycle"):
        comparison.check(CASE, comparison.Pair(wrong, None))


def test_peak_memory_is_the_programs_own() -> None:
    """And not that of this process, which is far larger than a shell."""
    say = 'echo "Time: 1 ms"; sleep 0.2; echo "Time: 1 ms"; sleep 0.2'
    assert 0 < program.run(["sh", "-c", say], 0, 1, 1).peak_bytes < 16 << 20


def test_program_that_ends_early_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="did 0 of"):
        program.run(["sh", "-c", "exit 3"], 0, 5, 1)
    with pytest.raises(RuntimeError, match="cannot be run"):
        program.run(["/nowhere/solver"], 0, 5, 1)


def test_small_graphs_and_survivors_equal_the_reference() -> None:
    row = correctness.check_small_graphs(80)
    assert row["cycles"] > 0
    assert correctness.check_survivors([12])["compared"].endswith("rounds")


def test_difference_from_the_reference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correctness.Solver, "survivors", lambda self: (4096, 1))
    with pytest.raises(correctness.Incorrect, match="survivors"):
        correctness.check_survivors([12])
    monkeypatch.setattr(correctness.Solver, "solve", lambda self, job, nonce: [])
    with pytest.raises(correctness.Incorrect, match="0 cycles"):
        correctness.check_small_graphs(80)


def test_peer_of_the_searched_size_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_peer(tmp_path, 12)
    monkeypatch.setattr(correctness, "PEER_EDGE_BITS", 12)
    row = correctness.check_peer([CASE], Peers.find(tmp_path), solved=3)
    assert row["cycles"] >= 3
    absent = correctness.check_peer([CASE], Peers.find(None), solved=3)
    assert absent["compared"] == "absent: no peer was given"


def test_floor_of_each_phase_follows_the_survivors() -> None:
    machine = Floor(1.0, read_bytes_per_second=8e9, store_bytes_per_second=8e9)
    best = phases.floor_of(machine, 30, [1 << 30, 600_000_000, 300_000_000])
    assert best["generation"] == pytest.approx(2 * 1.073741824)
    assert best["round 1"] == pytest.approx(1.673741824)
    assert best["round 2"] == pytest.approx(0.9)
    assert best["tail"] == 0


def test_interval_holds_its_confidence() -> None:
    least, most = fidelity.interval(4200)
    mean = 100.0

    def probability(count: int) -> float:
        return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))

    assert sum(probability(n) for n in range(least, most + 1)) >= fidelity.CONFIDENCE
    assert sum(probability(n) for n in range(least + 1, most)) < fidelity.CONFIDENCE
    assert fidelity.interval(42)[0] == 0


def test_cycles_are_counted() -> None:
    row = fidelity.measure(12, (4, 8), 420)
    assert row["within"]
    assert row["expected"] == 10


def test_unknown_names_are_refused() -> None:
    assert {c.name for c in choose((), False, None)} == {c.name for c in CASES}
    assert choose(("29",), True, None)[0].pairs == 2
    with pytest.raises(ValueError, match="no size 31"):
        choose(("31",), True, None)
    with pytest.raises(ValueError, match="no part"):
        run(True, parts=("sprint",))
