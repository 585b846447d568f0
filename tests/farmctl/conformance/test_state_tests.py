"""Ethereum's official state tests: the machine, the transition and the state together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from farmctl.conformance import Tally
from farmctl.conformance._machine import CHECKED
from farmctl.conformance._official import judge_files, read_files

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("FARMCTL_ETHEREUM_TESTS", ROOT.parent / "shared/data/ethereum-tests"))
ARCHIVE = FOLDER / "state-tests.tar.xz"
APPLICABLE, INAPPLICABLE = 19_394, 18

needs_archive = pytest.mark.skipif(
    not ARCHIVE.exists(),
    reason=f"{APPLICABLE} state tests not run: {ARCHIVE} is absent (set FARMCTL_ETHEREUM_TESTS)",
)
SAMPLE = 20


def failures(tallies: list[Tally]) -> list[str]:
    cases = (case for tally in tallies for case in tally.cases or ())
    return [f"{case.name}: {case.reason}" for case in cases if not case.passed]


@needs_archive
@pytest.mark.parametrize("name", CHECKED)
def test_one_case_in_twenty(name: str) -> None:
    tallies = list(judge_files(read_files(ARCHIVE), {name: CHECKED[name]}, SAMPLE))
    assert failures(tallies) == []
    assert sum(tally.passed for tally in tallies) > 900


@needs_archive
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", CHECKED)
def test_all_cases(name: str) -> None:
    tallies = list(judge_files(read_files(ARCHIVE), {name: CHECKED[name]}))
    assert failures(tallies) == []
    assert sum(tally.passed for tally in tallies) == APPLICABLE
    assert sum(sum(tally.inapplicable.values()) for tally in tallies) == INAPPLICABLE
