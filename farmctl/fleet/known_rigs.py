"""How each rig that was added over SSH is reached again; holds no secret."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from farmctl.errors import StoreError
from farmctl.files import write_atomic
from farmctl.fleet.ssh import Destination


class KnownRig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    user: str
    host: str
    port: int
    identity: str
    folder: str
    """Absolute, on the rig."""

    def destination(self) -> Destination:
        return Destination(self.user, self.host, self.port, self.identity)


def remember(home: Path, rig: str, destination: Destination, folder: str) -> None:
    known = KnownRig(**vars(destination), folder=folder)
    write_atomic(_path(home, rig), known.model_dump_json(indent=2).encode(), 0o600)


def find(home: Path, rig: str) -> KnownRig | None:
    """None for a rig that joined by itself. Raises `StoreError` for a damaged file."""
    path = _path(home, rig)
    try:
        return KnownRig.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise StoreError(f"{path} is unreadable: {error}") from error


def forget(home: Path, rig: str) -> None:
    _path(home, rig).unlink(missing_ok=True)


def _path(home: Path, rig: str) -> Path:
    return home / "fleet" / f"{rig}.json"
