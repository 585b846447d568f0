"""The conformance command: all vectors pass, and whatever is wrong is counted and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from farmctl.cli import build_app
from farmctl.commands.conformance import judge_path, judge_vectors, known_forms
from farmctl.conformance import blocks, differs, judge
from farmctl.errors import NotFound

KNOWN = sorted(known_forms())


def run_command(folder: Path) -> Result:
    return CliRunner().invoke(build_app(), ["conformance", str(folder)])


@pytest.mark.parametrize("name", KNOWN)
def test_every_vector_passes(vector_folder: Path, name: str) -> None:
    outcome = judge_vectors(vector_folder / f"{name}.json")
    assert outcome.cases
    assert [case for case in outcome.cases if not case.passed] == []


def test_every_vector_file_has_its_judge(vector_folder: Path) -> None:
    assert sorted(path.stem for path in vector_folder.glob("*.json")) == KNOWN


def test_the_report(vector_folder: Path, tmp_path: Path) -> None:
    for name in ("forkid", "rewards"):
        shutil.copy(vector_folder / f"{name}.json", tmp_path)
    right = run_command(tmp_path)
    assert right.exit_code == 0
    assert right.output.splitlines() == [
        "forkid: 6 passed, 0 failed",
        "rewards: 7 passed, 0 failed",
        "total: 13 passed, 0 failed",
    ]
    data = json.loads((tmp_path / "rewards.json").read_text())
    data["cases"][2]["Miner"] = "1"
    (tmp_path / "rewards.json").write_text(json.dumps(data))
    (tmp_path / "other.json").write_text("{}")
    wrong = run_command(tmp_path)
    assert wrong.exit_code == 1
    assert "rewards: 6 passed, 1 failed" in wrong.output
    assert "case 2, block 100: miner should be 1, is 7437500000000000000" in wrong.output
    assert "other.json: not a known vector form" in wrong.output
    assert wrong.output.splitlines()[-1] == "total: 12 passed, 1 failed"


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '[{"a": 1}]', '{"cases": [1]}'])
def test_a_malformed_file_has_failed(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(text)
    outcome = judge_vectors(path)
    assert outcome.failed > 0
    assert outcome.passed == 0


def test_a_folder_without_vectors_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=str(tmp_path)):
        list(judge_path(tmp_path))


def test_a_check_that_raises_has_failed() -> None:
    case = judge("x", lambda: iter([1 // 0]))  # type: ignore[arg-type]
    assert not case.passed
    assert "ZeroDivisionError" in case.reason
    assert list(differs("this", 1, 1)) == []
    assert next(differs("this", b"\1" * 99, 2)).startswith("this should be 0101")


def _case(vector_folder: Path) -> dict[str, Any]:
    return json.loads((vector_folder / "blocks.json").read_text())[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("key", ["header_rlp", "seal_rlp", "seal_hash", "block_hash", "block_rlp"])
def test_each_field_of_a_block_is_looked_at(vector_folder: Path, key: str) -> None:
    case = _case(vector_folder)
    assert [c.passed for c in blocks.run([case])] == [True]
    digit = "1" if case[key][-1] == "0" else "0"
    changed = case | {key: case[key][:-1] + digit}
    assert [c.passed for c in blocks.run([changed])] == [False]


@pytest.mark.parametrize("key", ["difficulty", "supply", "nonce", "hash", "size", "solution"])
def test_each_field_of_a_blocks_json_is_looked_at(vector_folder: Path, key: str) -> None:
    case = _case(vector_folder)
    value = case["rpc_block"][key]
    changed: Any = value[::-1] if isinstance(value, list) else value[:-1] + "d"
    assert changed != value
    case["rpc_block"][key] = changed
    assert [c.passed for c in blocks.run([case])] == [False]
