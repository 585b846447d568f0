"""Variants measured in real workers on this machine's processors."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.base import Device
from farmctl.errors import Refused
from farmctl.tuning import chart, measuring
from farmctl.tuning.measuring import Failed, Measured
from farmctl.tuning.power import Energy
from farmctl.tuning.records import TuningFile
from farmctl.tuning.tuner import Tuner, find_best, variants_of
from tests.farmctl.tuning.conftest import BRIEF, JOB


def measured(rate: float, **options: int) -> Measured:
    return Measured(options, 10, rate, rate * 0.9, rate * 1.1, 1, None, Energy(50.0, 1.0))


def test_variant_is_measured_through_a_session(processors: Device) -> None:
    found = measuring.measure(processors, {"threads": 1}, JOB, BRIEF)
    assert isinstance(found, Measured)
    assert 0 < found.least_per_second <= found.graphs_per_second <= found.most_per_second
    assert found.graphs >= BRIEF.slices
    assert found.worker_bytes > 1 << 20
    assert found.device_bytes is None, "processors have no memory of their own"
    assert found.energy.joules is not None or found.energy.reason


def test_variant_that_does_not_open_says_why(processors: Device) -> None:
    found = measuring.measure(processors, {"threads": 0}, JOB, BRIEF)
    assert isinstance(found, Failed)
    assert "threads" in found.reason


def test_tuner_keeps_the_best(processors: Device, tmp_path: Path) -> None:
    told: list[str] = []
    file = TuningFile(tmp_path)
    outcome = Tuner(JOB, BRIEF, file, told.append).tune(processors, with_sweep=False)
    assert len(outcome.variants) == len(variants_of(processors, JOB)) == len(told)
    assert file.find(processors.info, JOB) == outcome.kept
    assert outcome.kept.options == outcome.best.options
    assert outcome.kept.graphs_per_second == outcome.best.graphs_per_second


def test_tuner_refuses_where_nothing_works(
    processors: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(processors), "variants", lambda *_: ({"threads": 0},))
    tuner = Tuner(JOB, BRIEF, TuningFile(tmp_path), lambda _: None)
    with pytest.raises(Refused, match=r"cpu:0 cannot search such graphs: .*threads"):
        tuner.tune(processors, with_sweep=False)
    with pytest.raises(Refused, match="no power limit"):
        tuner.tune(processors, with_sweep=True)
    assert not list(tmp_path.iterdir())


def test_own_choice_stands_unless_another_is_clearly_faster() -> None:
    own, other = measured(10.0), measured(10.1, threads=2)
    assert find_best([own, other]) is own
    other = measured(10.3, threads=2)
    assert find_best([own, other]) is other
    assert find_best([other]) is other


def test_energy_of_a_graph() -> None:
    found = measured(10.0)
    assert found.joules_per_graph == 5
    assert found.energy.watts == 50
    assert found.spread_ratio == pytest.approx(0.1)


def test_bars_are_of_eighths() -> None:
    assert chart.bar(1.0, 4) == "████"
    assert chart.bar(0.5, 4) == "██"
    assert chart.bar(1 / 32, 4) == "▏"
    assert chart.bar(0.0, 4) == ""
    assert chart.bar(7.0, 4) == "████"


def test_options_are_named() -> None:
    assert chart.name_of({}) == "default"
    assert chart.name_of({"graphs_at_once": 2, "isa": "avx2"}) == "graphs at once 2, isa avx2"
