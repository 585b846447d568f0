"""Placing solvers on nodes, on a stand-in for /sys."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from drivers.base import CuckooJob
from drivers.cpu import cuckoo, numa
from drivers.cpu.cuckoo import CuckooSearch

ONE, TWO = frozenset({0, 1, 2, 3}), frozenset({4, 5})


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, processors in {"node0": "0-3\n", "node1": "4-5,9\n", "node10": "\n"}.items():
        folder = tmp_path / "sys/devices/system/node" / name
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(processors)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4, 5})
    return tmp_path


def test_nodes_are_those_with_processors_for_us(sysfs: Path) -> None:
    assert numa.read_nodes(sysfs) == [ONE, TWO]


def test_no_nodes_where_the_kernel_tells_none(tmp_path: Path) -> None:
    assert numa.read_nodes(tmp_path) == []


def test_solvers_take_turns_on_nodes_that_have_room() -> None:
    assert numa.place(3, 2, [ONE, TWO]) == [ONE, TWO, ONE]
    assert numa.place(2, 4, [ONE, TWO]) == [ONE, ONE]
    assert numa.place(2, 8, [ONE, TWO]) == [ONE | TWO, ONE | TWO]
    assert numa.place(2, 1, [ONE]) == [None, None]


def test_a_session_keeps_each_solver_on_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: dict[int, set[frozenset[int]]] = {}

    def pin(pid: int, processors: frozenset[int]) -> None:
        assert pid == 0, "the calling thread alone"
        pinned.setdefault(threading.get_ident(), set()).add(processors)

    monkeypatch.setattr(os, "sched_setaffinity", pin)
    monkeypatch.setattr(cuckoo, "read_nodes", lambda: [ONE, TWO])
    search = CuckooSearch(2, 1 << 28)
    done, _ = search.search(CuckooJob(bytes(32), 12), 0, 10, lambda: False)
    search.close()
    assert done == 10
    assert threading.get_ident() not in pinned
    assert set().union(*pinned.values()) == {ONE, TWO}
