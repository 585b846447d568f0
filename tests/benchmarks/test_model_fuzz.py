"""Damaged models: a bounded part of ``python -m benchmarks model_fuzz``, and that it would tell."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from benchmarks.model_fuzz import children
from benchmarks.model_fuzz.cases import Cases, map_bytes, seal
from benchmarks.model_fuzz.children import Child, Finding
from benchmarks.model_fuzz.corpus import make_models
from benchmarks.model_fuzz.damage import damage_symbol
from drivers.cpu.infer import Engine, LoadedPlan
from drivers.errors import BadArgument

CASES = 250


def test_no_case_is_a_finding():
    cases = Cases()
    outcomes = {cases.take(number) for number in range(CASES)}
    assert {"model: refused", "model: run, equal", "input: refused", "program: refused"} <= outcomes
    assert {"packed plan: refused", "resealed plan: refused", "resealed plan: run"} <= outcomes


def test_a_case_is_the_same_whatever_came_before_it():
    symbol = make_models()[0].symbol
    alone = [damage_symbol(random.Random(case), symbol) for case in range(300)]
    assert [damage_symbol(random.Random(case), symbol) for case in range(300)] == alone


def test_the_corpus_is_small():
    sizes = [len(model.symbol) + len(model.parameters) for model in make_models()]
    assert len(sizes) > 70 and sum(sizes) < 1 << 20


def test_a_resealed_plan_passes_the_checksum_alone():
    """What the fuzz reseals is judged by its records, not by the checksum."""
    cases = Cases()
    content = bytearray(cases.pack(random.Random(1)))
    engine = Engine(1, 1 << 26)
    content[-1] ^= 1
    with pytest.raises(BadArgument, match="damaged"):
        LoadedPlan(engine, map_bytes(bytes(content)))
    seal(content)
    LoadedPlan(engine, map_bytes(bytes(content))).close()
    engine.close()


CHILD = """
import json, os, sys, time
first = int(sys.argv[1])
print(json.dumps({"case": first}), flush=True)
print(json.dumps({"case": first, "outcome": "fine", "peak_bytes": 5}), flush=True)
print(json.dumps({"case": first + 1}), flush=True)
"""


@pytest.mark.parametrize(
    ("ending", "reason"),
    [("os.abort()", "ended with -6"), ("time.sleep(60)", "takes over 2 s")],
)
def test_a_crash_and_a_stall_are_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, reason: str
) -> None:
    (tmp_path / "odd_child.py").write_text(CHILD + ending)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(children, "CASE_SECONDS", 30.0 if "abort" in ending else 2.0)
    with Child(7, "odd_child") as child:
        found = list(child.outcomes(time.monotonic() + 30))
    assert found[:-1] == [(7, "fine")]
    number, finding = found[-1]
    assert isinstance(finding, Finding) and reason in finding.reason
    assert number == 8
