"""A machine reached over SSH; the only importer of paramiko."""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import shlex
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from farmctl.errors import BadRequest, FarmError, Refused, Unauthorised, Unavailable

CONNECT_SECONDS = 15.0
RUN_SECONDS = 60.0
OUTPUT_BYTES = 1024**2
PIECE_BYTES = 64 * 1024
#: Connections through one tunnel at a time.
TUNNEL_CONNECTIONS = 4
TUNNEL_IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Destination:
    """``user@host`` and how to get in. A password is never kept."""

    user: str
    host: str
    port: int = 22
    identity: str = ""
    """File of a private key; empty: the agent and the usual files."""


@dataclass(frozen=True)
class Answer:
    status: int
    output: str
    errors: str


def parse(text: str, port: int, identity: str) -> Destination:
    """Raises `BadRequest` for what is no ``user@host`` or ``host``."""
    user, _, host = text.rpartition("@")
    if not host or host.startswith("-") or not 0 < port < 65536:
        raise BadRequest(f"{text!r}, port {port}: give user@host and a port from 1 to 65535")
    return Destination(user or getpass.getuser(), host.strip("[]"), port, identity)


def fingerprint(key: paramiko.PKey) -> str:
    """As ``ssh-keygen -l`` writes it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class _KnownOrAccepted(paramiko.MissingHostKeyPolicy):
    """A host nobody knows is refused, unless its fingerprint is the one that was accepted."""

    def __init__(self, accepted: str, known_hosts: Path) -> None:
        self._accepted, self._known_hosts = accepted, known_hosts

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        shown = fingerprint(key)
        if shown != self._accepted:
            raise Refused(
                f"the host key of {hostname} is not known: {key.get_name()} {shown}. Compare it "
                f"on that machine, then repeat with --accept-host-key {shown}"
            )
        client.get_host_keys().add(hostname, key.get_name(), key)
        self._known_hosts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        client.save_host_keys(str(self._known_hosts))


class Host:
    """A connection; use as a context manager. Every call raises `Unavailable` when it is lost."""

    def __init__(self, client: paramiko.SSHClient) -> None:
        transport = client.get_transport()
        if transport is None:
            raise Unavailable("the SSH connection is gone")
        self._client, self._transport = client, transport

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def own_address(self) -> str:
        """Address of this end of the connection, which the other end can probably reach."""
        end = self._transport.sock
        assert isinstance(end, socket.socket)
        return str(end.getsockname()[0])

    def run(
        self,
        command: Sequence[str],
        stdin: bytes = b"",
        timeout_seconds: float = RUN_SECONDS,
    ) -> Answer:
        """Run one command; ``timeout_seconds`` bounds each wait for its output."""
        with _ssh_errors(command[0]):
            channel = self._transport.open_session(timeout=CONNECT_SECONDS)
            with contextlib.closing(channel):
                channel.settimeout(timeout_seconds)
                channel.exec_command(shlex.join(command))
                with contextlib.suppress(OSError):  # it may end without reading
                    channel.sendall(stdin)
                channel.shutdown_write()
                output = channel.makefile("rb").read(OUTPUT_BYTES)
                errors = channel.makefile_stderr("rb").read(OUTPUT_BYTES)
                if not channel.status_event.wait(timeout_seconds):
                    raise TimeoutError
                status = channel.recv_exit_status()
        return Answer(status, output.decode(errors="replace"), errors.decode(errors="replace"))

    def check(
        self,
        command: Sequence[str],
        stdin: bytes = b"",
        timeout_seconds: float = RUN_SECONDS,
    ) -> str:
        """The output of a command that must succeed. Raises `FarmError` with what it said."""
        answer = self.run(command, stdin, timeout_seconds)
        if answer.status:
            said = (answer.errors.strip() or answer.output.strip() or "nothing").splitlines()
            what = f"`{shlex.join(command[:4])} …` failed there with status {answer.status}"
            raise FarmError(f"{what}: {' / '.join(said[-5:])[:1000]}")
        return answer.output

    def upload(self, source: Path, target: str) -> None:
        """Copy a file. Raises `FarmError`."""
        with _ssh_errors(f"copying {source.name}"), self._client.open_sftp() as sftp:
            channel = sftp.get_channel()
            if channel is not None:
                channel.settimeout(RUN_SECONDS)
            sftp.put(str(source), target, confirm=True)

    @contextlib.contextmanager
    def tunnel(self, address: tuple[str, int]) -> Iterator[int]:
        """A port on the other machine's loopback that leads to an address here."""
        room = threading.BoundedSemaphore(TUNNEL_CONNECTIONS)

        def accept(channel: paramiko.Channel, *_: object) -> None:
            if room.acquire(blocking=False):
                threading.Thread(target=_join, args=(channel, address, room), daemon=True).start()
            else:
                channel.close()

        with _ssh_errors("a tunnel back to this machine (AllowTcpForwarding)"):
            port = self._transport.request_port_forward("127.0.0.1", 0, accept)
        try:
            yield port
        finally:
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
                self._transport.cancel_port_forward("127.0.0.1", port)


def connect(
    destination: Destination, known_hosts: Path, accept_host_key: str = "", password: str = ""
) -> Host:
    """Reach a machine. Its host key must be known to this user or in ``known_hosts``. Raises
    `Refused` with the fingerprint of an unknown or changed one, `Unauthorised`, `Unavailable`."""
    client = paramiko.SSHClient()
    client.load_system_host_keys()
    if known_hosts.exists():
        client.load_host_keys(str(known_hosts))
    client.set_missing_host_key_policy(_KnownOrAccepted(accept_host_key, known_hosts))
    where = f"{destination.user}@{destination.host}:{destination.port}"
    try:
        _log_in(client, destination, password)
        return Host(client)
    except paramiko.BadHostKeyException as error:
        client.close()
        shown = fingerprint(error.key)
        raise Refused(
            f"the host key of {error.hostname} has CHANGED to {shown}: somebody may listen. If "
            f"the machine was set up anew, remove its old line from {known_hosts} or "
            f"~/.ssh/known_hosts"
        ) from error
    except paramiko.AuthenticationException as error:
        client.close()
        text = f"{where} lets nobody in with these keys; use --identity FILE or --password"
        raise Unauthorised(text) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        client.close()
        raise Unavailable(f"cannot reach {where}: {error or type(error).__name__}") from error
    except FarmError:
        client.close()
        raise


def _log_in(client: paramiko.SSHClient, destination: Destination, password: str) -> None:
    client.connect(
        destination.host,
        destination.port,
        destination.user,
        password=password or None,
        key_filename=destination.identity or None,
        allow_agent=not destination.identity,
        look_for_keys=not destination.identity,
        timeout=CONNECT_SECONDS,
        banner_timeout=CONNECT_SECONDS,
        auth_timeout=CONNECT_SECONDS,
        channel_timeout=CONNECT_SECONDS,
    )


@contextlib.contextmanager
def _ssh_errors(what: str) -> Iterator[None]:
    """The library's errors as `Unavailable`."""
    try:
        yield
    except TimeoutError as error:
        raise Unavailable(f"{what} took too long on the other machine") from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise Unavailable(f"{what} failed: {error or type(error).__name__}") from error


def _join(
    channel: paramiko.Channel, address: tuple[str, int], room: threading.BoundedSemaphore
) -> None:
    """Carry bytes both ways until one side ends."""
    with contextlib.ExitStack() as stack:
        stack.callback(room.release)
        stack.enter_context(contextlib.suppress(OSError))
        stack.enter_context(contextlib.closing(channel))
        near = stack.enter_context(socket.create_connection(address, CONNECT_SECONDS))
        near.settimeout(TUNNEL_IDLE_SECONDS)
        channel.settimeout(TUNNEL_IDLE_SECONDS)
        back = threading.Thread(target=_carry, args=(near, channel), daemon=True)
        back.start()
        _carry(channel, near)
        back.join(TUNNEL_IDLE_SECONDS)


def _carry(
    source: socket.socket | paramiko.Channel, target: socket.socket | paramiko.Channel
) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
    with contextlib.suppress(OSError, EOFError):
        target.shutdown(socket.SHUT_WR)
