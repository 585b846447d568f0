"""Ethereum's official state tests: the machine, the transition and the state together."""

from __future__ import annotations

import pytest

from tests.node.spec.official_state_tests import ARCHIVE, read_cases

needs_archive = pytest.mark.skipif(
    not ARCHIVE.exists(),
    reason=f"19,393 state tests not run: {ARCHIVE} is absent (set FARMCTL_ETHEREUM_TESTS)",
)
SAMPLE = 20


def failures(every: int) -> tuple[int, list[str]]:
    count, failed = 0, []
    for case in read_cases(every):
        count += 1
        if wrong := case.check():
            failed.append(f"{case.name}: {wrong}")
    return count, failed


@needs_archive
def test_one_case_in_twenty():
    count, failed = failures(SAMPLE)
    assert count > 900
    assert not failed


@needs_archive
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_cases():
    count, failed = failures(1)
    assert count > 19_000
    assert not failed
