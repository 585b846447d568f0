from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import NodeError
from node.key import load_key


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "node" / "key"
    secret = load_key(path)
    assert len(secret) == 32
    assert load_key(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "00" * 32, "zz", "11" * 31 + "1"])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(NodeError, match="holds no key"):
        load_key(path)
    assert path.read_text() == content
