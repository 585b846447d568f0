"""Folders of vectors that lie outside the repository. Where one is absent, each test that needs
it is counted as skipped, and says what to set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / default))
    if not folder.is_dir():
        pytest.skip(f"not run: no vectors in {folder}; set {variable} to their folder")
    return folder


@pytest.fixture
def vector_folder() -> Path:
    """Cortex's vectors."""
    return _folder("FARMCTL_VECTORS", "shared/data/cortex")


@pytest.fixture
def ethereum_folder() -> Path:
    """Ethereum's RLP and trie tests."""
    return _folder("FARMCTL_ETHEREUM_TESTS", "shared/data/ethereum-tests")
