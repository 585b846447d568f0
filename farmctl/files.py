"""Files that the user named, and files written whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
from pathlib import Path

from farmctl.errors import NotFound, StoreError


def read_file(path: Path) -> bytes:
    """A file that the user named. Raises `NotFound`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error


def write_atomic(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write and sync a file under another name, then rename it. Raises `StoreError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def sweep(path: Path) -> None:
    """Remove what a kill in the midst of `write_atomic` has left beside ``path``. Only for the
    one that alone writes it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with contextlib.suppress(OSError):
            left.unlink()


def write_secret(path: Path, content: str) -> None:
    """A file that its owner alone can read, in a folder that its owner alone can enter."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(path, content.encode(), 0o600)
