"""A few seconds of what `benchmarks.peer_fuzz` does for ten minutes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from benchmarks import peer_fuzz


async def test_nonsense_ends_no_task_and_keeps_no_honest_peer_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    found = await peer_fuzz.attack(tmp_path, 3.0, seed=5)
    assert found["greeted"] > 5
    assert found["blocks_followed"] > 0


def test_an_error_that_the_node_survives_is_seen(tmp_path: Path) -> None:
    failures = peer_fuzz.Failures()
    log = logging.getLogger("node.peers.meeting")
    logging.getLogger("node").addHandler(failures)
    try:
        log.warning("a ban")
        log.error("a bug")
    finally:
        logging.getLogger("node").removeHandler(failures)
    assert [record.getMessage() for record in failures.records] == ["a bug"]
