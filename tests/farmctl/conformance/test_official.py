"""Official tests are found by what is in them; whatever is wrong or left out is counted."""

from __future__ import annotations

import copy
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from farmctl.cli import build_app
from farmctl.commands.conformance import judge_path
from farmctl.conformance import Tally
from farmctl.conformance._machine import CHECKED
from farmctl.conformance._official import judge_files
from farmctl.errors import BadRequest, NotFound

#: A loop that stores, hashes and logs; what must come of it was computed by the execution specs.
OWN = Path(__file__).parent / "loop_and_store.json"


@pytest.fixture
def own() -> dict[str, Any]:
    tests: dict[str, Any] = json.loads(OWN.read_text())
    return tests


def judge(tests: Any, name: str = "some/stOwn/test.json") -> list[Tally]:
    return list(judge_files([(name, json.dumps(tests))]))


def counts(tallies: list[Tally]) -> tuple[int, int]:
    return sum(t.passed for t in tallies), sum(t.failed for t in tallies)


def test_a_state_test_runs_at_each_fork_on_each_interpreter(own: dict[str, Any]) -> None:
    tallies = judge(own)
    assert [t.name for t in tallies] == [
        f"stOwn, {fork}, {kind}" for fork in ("ConstantinopleFix", "Istanbul") for kind in CHECKED
    ]
    assert all(t.passed == 2 and not t.failed for t in tallies)


@pytest.mark.parametrize("field", ["hash", "logs"])
def test_a_wrong_outcome_is_named(own: dict[str, Any], field: str) -> None:
    own["loopAndStore"]["post"]["Istanbul"][1][field] = "0x" + "00" * 32
    tallies = judge(own)
    assert counts(tallies) == (6, 2)
    (failure, _) = (c for t in tallies for c in t.cases or () if not c.passed)
    assert "loopAndStore:Istanbul:1" in failure.name
    assert ("logs" if field == "logs" else "state root") in failure.reason


def test_another_storage_makes_another_root(own: dict[str, Any]) -> None:
    contract = "0x" + "c0" * 20
    own["loopAndStore"]["pre"][contract]["storage"]["0x3"] = "0x8"
    assert counts(judge(own)) == (0, 8)


def test_what_does_not_apply_is_counted_with_its_reason(own: dict[str, Any]) -> None:
    test = own["loopAndStore"]
    test["post"]["Berlin"] = test["post"]["Istanbul"]
    reasons = [t.inapplicable for t in judge(own) if t.inapplicable]
    assert reasons == [{"Cortex never was at Berlin": 2}]
    departing = judge(own, "some/stEIP3607/test.json")
    assert counts(departing) == (0, 0)
    assert sum(sum(t.inapplicable.values()) for t in departing) == 6


def test_rlp_and_trie_tests() -> None:
    right: dict[str, Any] = {"a": {"in": ["dog", 15, "#256"], "out": "0xc883646f670f820100"}}
    assert counts(judge(right)) == (1, 0)
    wrong = copy.deepcopy(right)
    wrong["a"]["out"] = "0xc883646f670f820101"
    assert counts(judge(wrong)) == (0, 1)
    assert counts(judge({"a": {"in": "INVALID", "out": "0x8100"}})) == (1, 0)
    assert counts(judge({"a": {"in": "INVALID", "out": "0x83646f67"}})) == (0, 1)
    assert counts(judge({"a": {"in": "VALID", "out": "0x8100"}})) == (0, 1)
    empty = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert counts(judge({"a": {"in": [["k", "v"], ["k", None]], "root": empty}})) == (1, 0)
    assert counts(judge({"a": {"in": {"k": "v"}, "root": empty}})) == (0, 1)


def test_a_malformed_case_has_failed(own: dict[str, Any]) -> None:
    del own["loopAndStore"]["env"]["currentNumber"]
    assert counts(judge(own)) == (0, 8)
    assert [t.cases for t in judge({"a": {"b": 1}})] == [None]


def test_the_command_reads_folders_and_archives(tmp_path: Path, own: dict[str, Any]) -> None:
    folder = tmp_path / "deep" / "stOwn"
    folder.mkdir(parents=True)
    (folder / "own.json").write_text(json.dumps(own))
    with tarfile.open(tmp_path / "more.tar.xz", "w:xz") as archive:
        archive.add(folder, "stPacked")
    done = CliRunner().invoke(build_app(), ["conformance", str(tmp_path), "--interpreter", "fast"])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "stOwn, ConstantinopleFix, fast: 2 passed, 0 failed",
        "stOwn, Istanbul, fast: 2 passed, 0 failed",
        "stPacked, ConstantinopleFix, fast: 2 passed, 0 failed",
        "stPacked, Istanbul, fast: 2 passed, 0 failed",
        "all ConstantinopleFix, fast: 4 passed, 0 failed",
        "all Istanbul, fast: 4 passed, 0 failed",
        "total: 8 passed, 0 failed",
    ]


def test_an_archive_that_holds_nothing_or_is_none(tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty.tar", tmp_path / "broken.tar.xz"
    tarfile.open(empty, "w").close()
    broken.write_bytes(b"no archive")
    with pytest.raises(NotFound, match="empty"):
        list(judge_path(empty))
    with pytest.raises(BadRequest, match="broken"):
        list(judge_path(broken))
