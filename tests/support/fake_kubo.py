"""A stand-in for an IPFS daemon: the commands of kubo's RPC that the node uses, over HTTP.

Folders and files by content hash, pins, providers; several daemons may share one `Network`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Network:
    """What all daemons together hold."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: dict[str, dict[str, str]] = field(default_factory=dict)
    providers: dict[str, set[str]] = field(default_factory=dict)


@dataclass
class FakeKubo:
    url: str
    peer: str
    network: Network
    pins: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def add(self, files: dict[str, bytes]) -> str:
        """Add a folder, pinned; its CID."""
        cids = {name: _cid(content) for name, content in files.items()}
        for name, content in files.items():
            self.network.files[cids[name]] = content
        folder = _cid(json.dumps(cids, sort_keys=True).encode())
        self.network.folders[folder] = cids
        self.network.providers.setdefault(folder, set()).add(self.peer)
        self.pins.add(folder)
        return folder

    def forget(self, cid: str) -> None:
        """Lose a pin, as a garbage collection after ``pin rm`` does."""
        self.pins.discard(cid)
        self.network.providers[cid].discard(self.peer)


@contextmanager
def running(network: Network | None = None, peer: str = "12D3KooWself") -> Iterator[FakeKubo]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    kubo = FakeKubo(f"http://127.0.0.1:{server.server_port}", peer, network or Network())
    server.kubo = kubo  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield kubo
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _cid(content: bytes) -> str:
    return "bafy" + hashlib.sha256(content).hexdigest()[:52]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def kubo(self) -> FakeKubo:
        return self.server.kubo  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_: Any) -> None:
        return

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        options = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self._read()
        command = url.path.removeprefix("/api/v0/")
        self.kubo.asked.append(command)
        act = getattr(self, "_" + command.replace("/", "_"), None)
        if act is None:
            self._reply(404, b"404 page not found")
            return
        try:
            self._reply(200, act(options, body))
        except KeyError as error:
            self._reply(500, json.dumps({"Message": error.args[0], "Code": 0}).encode())

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _add(self, options: dict[str, str], body: bytes) -> bytes:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + body)
        files = {
            str(part.get_filename()): bytes(part.get_payload(decode=True) or b"")
            for part in message.iter_parts()
        }
        assert options == {"pin": "true", "cid-version": "1", "wrap-with-directory": "true"}
        folder = self.kubo.add(files)
        lines = [{"Name": n, "Hash": c} for n, c in self.kubo.network.folders[folder].items()]
        return b"\n".join(
            json.dumps(each).encode() for each in [*lines, {"Name": "", "Hash": folder}]
        )

    def _ls(self, options: dict[str, str], _: bytes) -> bytes:
        network = self.kubo.network
        cid = options["arg"]
        if not network.providers.get(cid):
            raise KeyError(f"block was not found locally (offline): ipld: could not find {cid}")
        links = [
            {"Name": name, "Hash": each, "Size": len(network.files[each])}
            for name, each in network.folders[cid].items()
        ]
        return json.dumps({"Objects": [{"Hash": cid, "Links": links}]}).encode()

    def _cat(self, options: dict[str, str], _: bytes) -> bytes:
        folder, _slash, name = options["arg"].partition("/")
        content = self.kubo.network.files[self.kubo.network.folders[folder][name]]
        return content[: int(options.get("length", len(content)))]

    def _pin_ls(self, options: dict[str, str], _: bytes) -> bytes:
        cid = options["arg"]
        if cid not in self.kubo.pins:
            raise KeyError(f"path '{cid}' is not pinned")
        return json.dumps({"Keys": {cid: {"Type": "recursive"}}}).encode()

    def _pin_rm(self, options: dict[str, str], _: bytes) -> bytes:
        self.kubo.forget(options["arg"])
        return json.dumps({"Pins": [options["arg"]]}).encode()

    def _id(self, _options: dict[str, str], _: bytes) -> bytes:
        return json.dumps({"ID": self.kubo.peer}).encode()

    def _routing_findprovs(self, options: dict[str, str], _: bytes) -> bytes:
        found = self.kubo.network.providers.get(options["arg"], set())
        lines: list[dict[str, Any]] = [{"Type": 6, "ID": "12D3KooWhop", "Responses": None}]
        lines += [{"Type": 4, "ID": "", "Responses": [{"ID": each, "Addrs": []}]} for each in found]
        return b"\n".join(json.dumps(line).encode() for line in lines)
