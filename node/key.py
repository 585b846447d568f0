"""The node's own key: its account is the coinbase until another is named."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from node.errors import NodeError
from node.spec.crypto import CURVE_ORDER, private_address

KEY_BYTES = 32


def load_key(path: Path) -> bytes:
    """The 32-byte secret kept in ``path`` as hex; made at the first start, readable by its
    owner alone. Raises `NodeError` where the file holds anything else."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        text = path.read_text()
    except FileNotFoundError:
        return _create(path)
    try:
        secret = bytes.fromhex(text.strip())
        private_address(secret)
    except ValueError as error:
        raise NodeError(
            f"{path} holds no key; restore it, or move it away for a new one"
        ) from error
    return secret


def _create(path: Path) -> bytes:
    secret = (secrets.randbelow(CURVE_ORDER - 1) + 1).to_bytes(KEY_BYTES, "big")
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return secret
