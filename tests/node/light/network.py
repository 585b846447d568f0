"""Two full nodes of one chain behind their real JSON-RPC, and a proxy that lies about one."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from farmctl.cycles import verify_cycle
from node.core import Node
from node.inference import ReferenceEngine
from node.light.methods import find_light_methods
from node.light.node import LightNode
from node.light.settings import LightSettings
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.rpc.registry import find_methods
from node.rpc.server import RpcServer
from node.spec.transition import created_address
from tests.node.workshop import CHAIN, COIN, RICH, Clock, mine, open_node, sign

#: Returns slot 1; with 32 bytes of input and value 0 it stores them there and logs them.
RUNTIME = bytes.fromhex("3615600c576000358060015560005260206000a0005b60015460005260206000f3")
RUNTIME = RUNTIME.replace(bytes.fromhex("15600c57"), bytes.fromhex("156015" + "57"))


def deploy(runtime: bytes) -> bytes:
    """Code that puts 7 in slot 1 and makes a contract of ``runtime``."""
    size = f"60{len(runtime):02x}"
    return bytes.fromhex(f"6007600155{size}6011600039{size}6000f3") + runtime


def ask(node: Any, name: str, *params: Any) -> Any:
    methods = find_light_methods() if isinstance(node, LightNode) else find_methods()
    return methods[name].call(node, list(params))


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


#: Of a method's result, what the liar makes of it.
Twist = Callable[[str, list[Any], Any], Any]


class Served:
    """A node behind its JSON-RPC, on an event loop in a thread of its own."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._run(self._open())
        self.url = f"http://127.0.0.1:{self._server.port}"

    async def _open(self) -> RpcServer:
        server = RpcServer(self.node, "127.0.0.1", 0)
        await server.start()
        return server

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def close(self) -> None:
        self.stop()
        self.node.close()

    def stop(self) -> None:
        """The node stays open."""
        self._run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Network:
    """Full nodes ``a`` and ``b``; what is mined at one is imported by the other."""

    def __init__(self, home: Path) -> None:
        self.home, self.clock = home, Clock()
        self._homes = itertools.count()
        self.a = Served(open_node(home / "a", self.clock))
        self.b = Served(open_node(home / "b", self.clock))

    def mine(self, count: int = 1, at: Served | None = None, shared: bool = True) -> None:
        first = at or self.a
        for _ in range(count):
            block = mine(first.node, self.clock)
            for other in (self.a, self.b):
                if shared and other is not first:
                    other.node.import_block(block)

    def settle(self) -> bytes:
        """Four blocks with transactions, and a contract with 9 in its slot; its address."""
        address = created_address(RICH, 0)
        self.a.node.send(sign(0, to=None, data=deploy(RUNTIME), gas=300_000))
        self.mine()
        self.a.node.send(sign(1, value=5 * COIN))
        self.a.node.send(sign(2, to=address, data=(9).to_bytes(32, "big")))
        self.mine(2)
        self.mine(at=self.b)
        return address

    def close(self) -> None:
        self.a.close()
        self.b.close()

    @contextmanager
    def light(self, *urls: str, name: str = "", **settings: Any) -> Iterator[LightNode]:
        """A light node in a home of its own, or in the one of that name."""
        loader = GraphLoader(DirectoryStorage(self.home / "a" / "models"))
        node = LightNode(
            CHAIN,
            self.home / (name or f"light-{next(self._homes)}"),
            LightSettings(**settings),
            urls or (self.a.url, self.b.url),
            loader,
            ReferenceEngine(loader),
            verify_cycle,
            self.clock,
        )
        try:
            yield node
        finally:
            node.close()


Answer = Callable[[dict[str, Any], dict[str, Any]], None]


@contextmanager
def proxy(url: str, change: Answer) -> Iterator[str]:
    """The address of a proxy in front of ``url``; ``change`` is given each request with its reply,
    and alters the reply."""

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reply = httpx.post(url, json=body, timeout=20, trust_env=False).json()
            pairs = zip(body, reply, strict=True) if isinstance(body, list) else [(body, reply)]
            for asked, told in pairs:
                change(asked, told)
            content = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def lying(url: str, twist: Twist) -> Iterator[str]:
    """A node whose results are twisted."""

    def change(asked: dict[str, Any], told: dict[str, Any]) -> None:
        if "result" in told:
            told["result"] = twist(asked["method"], asked["params"], told["result"])

    with proxy(url, change) as address:
        yield address


@contextmanager
def lacking(url: str, methods: set[str], code: int = -32601, times: int = 10**9) -> Iterator[str]:
    """A node that refuses some methods, so often."""
    left = [times]

    def change(asked: dict[str, Any], told: dict[str, Any]) -> None:
        if asked["method"] in methods and left[0] > 0:
            left[0] -= 1
            told.pop("result", None)
            told["error"] = {"code": code, "message": "not now"}

    with proxy(url, change) as address:
        yield address
