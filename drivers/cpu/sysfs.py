"""Numbers in the kernel's files."""

from __future__ import annotations

from pathlib import Path

from drivers.errors import NotSupported, PermissionDenied


def read_number(path: Path) -> int:
    """Raises `PermissionDenied`, or `NotSupported` where there is no such number."""
    try:
        return int(path.read_text())
    except PermissionError:
        raise PermissionDenied(f"{path} is readable by root only") from None
    except (OSError, ValueError) as error:
        raise NotSupported(f"{path} cannot be read: {error}") from None


def write_number(path: Path, value: int) -> None:
    """Raises `PermissionDenied`, or `NotSupported` where the kernel refuses it."""
    try:
        path.write_text(f"{value}\n")
    except PermissionError:
        raise PermissionDenied(f"writing {path} wants root; run the agent as root") from None
    except OSError as error:
        raise NotSupported(f"{path}: {error.strerror}") from None
