"""The rig's side of enrolment: it makes its keys, shows its code, and keeps what it is given."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from farmctl.bus_server import create_seed
from farmctl.config import is_loopback, is_name
from farmctl.errors import BadRequest, Conflict, FarmError, Refused, Unauthorised, Unavailable
from farmctl.files import write_atomic, write_secret
from farmctl.fleet import authority

_REFUSALS = (BadRequest, Conflict, Refused, Unauthorised, Unavailable)
TIMEOUT_SECONDS = 15.0
FARM_TOML = """\
[farm]
rig = "{rig}"
site = "{site}"

[bus]
url = "{url}"
"""


class _Admission(BaseModel):
    rig: str
    certificate: str
    authority: str
    bus_port: int
    bus_secured: bool


@dataclass(frozen=True)
class Door:
    """Where a rig asks to be let in, and where it finds the bus."""

    api_url: str
    bus_host: str
    site: str


def join(home: Path, door: Door, code: str) -> str:
    """Enrol this machine; returns the rig's name. Nothing is written unless the farm admits it.
    Raises the farm's refusal, `Conflict` when this home has joined a farm already, `Refused` for
    a road that could be listened to."""
    _check(home, door)
    seed, public = create_seed()
    key, request = authority.create_request("rig")
    body = {"code": code, "key": public, "certificate_request": request}
    admission = _ask(door.api_url, body)
    secrets = home / "secrets"
    try:
        write_secret(secrets / authority.KEY, key)
        write_secret(secrets / authority.CERTIFICATE, admission.certificate)
        write_secret(secrets / authority.CA_CERTIFICATE, admission.authority)
        write_secret(secrets / "bus.seed", seed)
        write_atomic(home / "farm.toml", _settings(admission, door).encode())
    except FarmError:
        shutil.rmtree(secrets, ignore_errors=True)
        raise
    return admission.rig


def _check(home: Path, door: Door) -> None:
    url = urlsplit(door.api_url)
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
        raise Refused(
            f"{door.api_url} is not safe for the code; use https, or a tunnel to loopback"
        )
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", door.bus_host):
        raise BadRequest(f"{door.bus_host!r} is no host name and no address")
    if not is_name(door.site):
        raise BadRequest(f"site {door.site!r}: use lower-case letters, digits, dashes")
    for name in ("farm.toml", "secrets"):
        if os.path.lexists(home / name):
            raise Conflict(f"{home} belongs to a farm already; use another FARMCTL_HOME")


def _ask(api_url: str, body: dict[str, str]) -> _Admission:
    """No proxy is asked: the road is a tunnel or the farm's own address."""
    try:
        answer = httpx.post(
            f"{api_url}/v1/enrol", json=body, timeout=TIMEOUT_SECONDS, trust_env=False
        )
    except httpx.HTTPError as error:
        raise Unavailable(f"no controller answers at {api_url}: {error}") from error
    try:
        if answer.is_success:
            return _Admission.model_validate_json(answer.content)
        problem = answer.json()
        kind, message = str(problem["error"]), str(problem["message"])
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"{api_url} does not answer as a controller does") from error
    raise next((e for e in _REFUSALS if e.__name__ == kind), FarmError)(message)


def _settings(admission: _Admission, door: Door) -> str:
    scheme = "tls" if admission.bus_secured else "nats"
    host = f"[{door.bus_host}]" if ":" in door.bus_host else door.bus_host
    url = f"{scheme}://{host}:{admission.bus_port}"
    return FARM_TOML.format(rig=admission.rig, site=door.site, url=url)
