"""The SSH connection, against a real server."""

from __future__ import annotations

import dataclasses
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmctl.errors import BadRequest, FarmError, Refused, Unauthorised, Unavailable
from farmctl.fleet import ssh
from tests.farmctl.fleet.conftest import SshServer, create_key


@pytest.fixture
def host(sshd: SshServer, tmp_path: Path) -> Iterator[ssh.Host]:
    with ssh.connect(sshd.destination, tmp_path / "known", sshd.fingerprint) as made:
        yield made


def test_unknown_host_is_refused_with_its_fingerprint(sshd: SshServer, tmp_path: Path) -> None:
    known = tmp_path / "known"
    with pytest.raises(Refused, match=re.escape(sshd.fingerprint)):
        ssh.connect(sshd.destination, known)
    with pytest.raises(Refused, match="not known"):
        ssh.connect(sshd.destination, known, "SHA256:another")
    assert not known.exists()


def test_accepted_host_is_known_from_then_on(sshd: SshServer, tmp_path: Path) -> None:
    known = tmp_path / "fleet" / "known"
    ssh.connect(sshd.destination, known, sshd.fingerprint).__exit__()
    with ssh.connect(sshd.destination, known) as host:
        assert host.check(["echo", "in"]) == "in\n"


def test_changed_host_key_is_refused_even_if_accepted(sshd: SshServer, tmp_path: Path) -> None:
    create_key(tmp_path / "other")
    kind, key, *_ = (tmp_path / "other.pub").read_text().split()
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{sshd.destination.port} {kind} {key}\n")
    with pytest.raises(Refused, match="CHANGED"):
        ssh.connect(sshd.destination, known, sshd.fingerprint)


def test_wrong_key_is_told(sshd: SshServer, tmp_path: Path) -> None:
    create_key(tmp_path / "stranger")
    stranger = dataclasses.replace(sshd.destination, identity=str(tmp_path / "stranger"))
    with pytest.raises(Unauthorised, match="--identity"):
        ssh.connect(stranger, tmp_path / "known", sshd.fingerprint)


def test_nobody_there(sshd: SshServer, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        gone = dataclasses.replace(sshd.destination, port=taken.getsockname()[1])
        with pytest.raises(Unavailable, match="cannot reach"):
            ssh.connect(gone, tmp_path / "known")


def test_command_gets_its_words_and_input_as_they_are(host: ssh.Host) -> None:
    odd = "a b'c\"d$HOME;*"
    assert host.check(["printf", "%s", odd]) == odd
    big = b"x" * 300_000
    assert host.check(["wc", "-c"], big).strip() == "300000"


def test_failing_command_says_why(host: ssh.Host) -> None:
    with pytest.raises(FarmError, match="status 3: broken"):
        host.check(["sh", "-c", "echo broken >&2; exit 3"])


def test_command_that_says_nothing_for_long_is_given_up(host: ssh.Host) -> None:
    with pytest.raises(Unavailable, match="took too long"):
        host.run(["sleep", "30"], timeout_seconds=0.2)


def test_upload_copies_every_byte(host: ssh.Host, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "a target"
    source.write_bytes(bytes(range(256)) * 500)
    host.upload(source, str(target))
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(FarmError):
        host.upload(source, str(tmp_path / "no folder" / "target"))


def test_tunnel_leads_back_here(host: ssh.Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        answering = threading.Thread(target=answer_once, args=(listening,))
        answering.start()
        with host.tunnel(listening.getsockname()[:2]) as port:
            assert ask(port, b"question") == b"answer to question"
        answering.join(10)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def ask(port: int, question: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as far:
        far.sendall(question)
        far.shutdown(socket.SHUT_WR)
        return far.makefile("rb").read()


def answer_once(listening: socket.socket) -> None:
    near, _ = listening.accept()
    with near:
        near.sendall(b"answer to " + near.makefile("rb").read())


@pytest.mark.parametrize(("text", "port"), [("user@", 22), ("user@-oProxy", 22), ("host", 0)])
def test_what_is_no_destination(text: str, port: int) -> None:
    with pytest.raises(BadRequest):
        ssh.parse(text, port, "")


def test_destinations() -> None:
    assert ssh.parse("me@rig", 2222, "key") == ssh.Destination("me", "rig", 2222, "key")
    assert ssh.parse("me@[::1]", 22, "").host == "::1"
    assert shutil.which("ssh-keygen") is None or ssh.parse("rig", 22, "").user
