"""`farmctl model describe`, `inspect` and `compare` on folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.likeness import copies
from benchmarks.likeness.copies import Network
from farmctl.cli import build_app
from farmctl.errors import BadRequest, NotFound

WORDS = {
    "--field": "image classification",
    "--method": "convolutional network",
    "--loss": "cross-entropy 0.12",
    "--dataset": "digits",
    "--prediction": "class scores",
}


def run(*words: str) -> str:
    done = CliRunner().invoke(build_app(), ["model", *words], env={"COLUMNS": "160"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def made(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    shapes = ((8, 1, 3, 3), (16, 8, 3, 3), (10, 256))
    return Network(*(rng.standard_normal(shape).astype(np.float32) for shape in shapes))


def folder_of(home: Path, name: str, network: Network, prefix: str = "") -> Path:
    folder = home / name
    folder.mkdir()
    symbol, parameters = copies.write_files(network, prefix)
    (folder / "symbol").write_bytes(symbol)
    (folder / "params").write_bytes(parameters)
    return folder


def test_a_card_is_written_beside_the_model_and_inspected(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a", made())
    options = [word for pair in WORDS.items() for word in pair]
    assert "card.json" in run("describe", str(folder), *options)
    card = json.loads((folder / "card.json").read_text())
    assert card["input"] == {"rank": 3, "size": 64, "dataset": "digits", "shape": [1, 8, 8]}
    text = run("inspect", str(folder))
    assert "image classification" in text and "cross-entropy 0.12" in text
    (folder / "card.json").write_text("{}")
    assert "Field required" in run("inspect", str(folder))


def test_copies_and_others_are_told_apart(tmp_path: Path) -> None:
    first = str(folder_of(tmp_path, "a", made()))
    copy = str(folder_of(tmp_path, "b", copies.permute(made()), "x_"))
    other = str(folder_of(tmp_path, "c", made(1)))
    assert "channels permuted" in run("compare", first, copy)
    text = run("compare", first, other)
    assert "made apart" in text and "0 of 3" in text


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="two folders"):
        run("compare", str(tmp_path), "0x00")
    with pytest.raises(NotFound, match="cannot read"):
        run("compare", str(tmp_path), str(tmp_path))
