"""The dashboard's own checks: types, accessibility, units, and the client it was generated from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
TYPES = WEB / "src/api/schema.d.ts"


def run_script(script: str, **environment: str) -> str:
    """Run one script of web/package.json; its output when it succeeds."""
    npm = shutil.which("npm")
    if npm is None or not (WEB / "node_modules").is_dir():
        pytest.skip("needs Node.js 20 or newer and web/node_modules; `make test` sets them up")
    done = subprocess.run(
        [npm, "run", "--silent", script],
        cwd=WEB,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_types_and_markup_are_sound() -> None:
    assert "found 0 errors and 0 warnings" in run_script("check")


def test_units_pass() -> None:
    assert "passed" in run_script("test", NO_COLOR="1")


def test_the_client_matches_the_api(tmp_path: Path) -> None:
    fresh = tmp_path / "schema.d.ts"
    run_script("types", PYTHON=sys.executable, PYTHONPATH=str(ROOT), OUT=str(fresh))
    assert fresh.read_text("utf-8") == TYPES.read_text("utf-8"), (
        "the API has changed: run `npm run types` in web/ and commit src/api/schema.d.ts"
    )
