"""An author's whole way on a real farm, by the commands: quote, publish, test, withdraw."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.farm.running import COMMAND, running, until
from tests.node.workshop import dense_model

WEIGHTS = np.array([[1, 2, 3, 4, 5, 6], [-1, 1, -1, 1, -1, 1], [9, 0, 0, 0, 0, 1]])
ITEMS, WRONG = 50, 5


def write_files(folder: Path) -> None:
    """A model, inputs and labels, of which some are wrong."""
    symbol, parameters = dense_model()
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "symbol").write_bytes(symbol)
    (folder / "model" / "params").write_bytes(parameters)
    inputs = np.random.default_rng(1).integers(-100, 100, (ITEMS, 6)).astype(np.int8)
    labels = (inputs.astype(int) @ WEIGHTS.T).argmax(1).astype(np.int32)
    labels[:WRONG] = (labels[:WRONG] + 1) % 3
    np.save(folder / "x.npy", inputs)
    np.save(folder / "y.npy", labels)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_author_publishes_tests_and_withdraws(tmp_path: Path) -> None:
    write_files(tmp_path)
    with running(tmp_path / "home") as farm:

        def say(*words: str) -> str:
            done = subprocess.run(
                (*COMMAND, "model", *words),
                env=farm.environment,
                capture_output=True,
                text=True,
                timeout=600,  # several blocks, on whatever machine this is
                check=False,
            )
            assert done.returncode == 0, done
            return done.stdout

        until(lambda: int(farm.overview()["node"]["height"]) > 0, 600, "the first coins")
        folder = str(tmp_path / "model")
        assert "1 × 277777 gas" in say("quote", folder)
        (address,) = re.findall(r"(0x[0-9a-f]{40}) is published", say("publish", folder))
        assert address in say("publish", folder)  # again: it is there already
        assert re.search(r"copies +1 known, 1 wanted", say("where", address))
        say("add-tests", address, str(tmp_path / "x.npy"), str(tmp_path / "y.npy"))
        assert f"{ITEMS - WRONG} of {ITEMS} right: accuracy 90.00%" in say("evaluate", address)
        say("withdraw", address)
        assert address not in say("list")
        assert re.search(r"offered +no, withdrawn", say("where", address))
        say("offer", address)
        assert re.search(r"offered +yes", say("where", address))
