"""Three nodes in network namespaces of their own: a real partition, in which packets are lost
without a word, and its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.spec.types import Transaction
from tests.node.workshop import sign

ROOT = Path(__file__).parents[3]
IP = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin")
PORT = 30313
SECONDS = 40.0


def run_ip(*words: str) -> None:
    assert IP is not None
    subprocess.run([IP, *words], check=True, capture_output=True, timeout=10)


class Namespaces:
    """A line of machines, each cabled to the next: machine ``n`` is 10.77.n.1 to the one before
    it, and 10.77.n+1.2 to the one after."""

    def __init__(self, count: int) -> None:
        self.names = [f"farm{os.getpid()}-{n}" for n in range(count)]

    def __enter__(self) -> Namespaces:
        for name in self.names:
            run_ip("netns", "add", name)
            run_ip("-n", name, "link", "set", "lo", "up")
        for place in range(1, len(self.names)):
            left, right = self.names[place - 1 : place + 1]
            run_ip(
                "-n", left, "link", "add", "next", "type", "veth", "peer", "last", "netns", right
            )
            for name, device, address in (
                (left, "next", f"10.77.{place}.2/24"),
                (right, "last", f"10.77.{place}.1/24"),
            ):
                run_ip("-n", name, "addr", "add", address, "dev", device)
                run_ip("-n", name, "link", "set", device, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            subprocess.run([str(IP), "netns", "del", name], capture_output=True, timeout=10)

    def cut(self, place: int) -> None:
        """The cable behind a machine; its own side still seems up, as on a real network."""
        run_ip("-n", self.names[place + 1], "link", "set", "last", "down")

    def mend(self, place: int) -> None:
        run_ip("-n", self.names[place + 1], "link", "set", "last", "up")


class Far:
    """A node in a namespace."""

    def __init__(self, namespace: str, home: Path, *urls: str) -> None:
        node = [sys.executable, "-m", "tests.node.peers.lone_node", str(home), f"0.0.0.0:{PORT}"]
        self._process = subprocess.Popen(
            [str(IP), "netns", "exec", namespace, *node, *urls],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, *words: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def place(self, transaction: Transaction) -> str:
        return self.ask("place", transaction.hash().hex())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[Namespaces, list[Far]]]:
    if IP is None:
        pytest.skip("no `ip` here; install iproute2")
    try:
        namespaces = Namespaces(3).__enter__()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    urls = ((), (f"farm://10.77.1.2:{PORT}",), (f"farm://10.77.2.2:{PORT}",))
    nodes = [
        Far(name, tmp_path / name, *given)
        for name, given in zip(namespaces.names, urls, strict=True)
    ]
    try:
        for node in nodes:
            node.ready()
        yield namespaces, nodes
    finally:
        for node in nodes:
            node.stop()
        namespaces.__exit__()


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def agree(*nodes: Far) -> bool:
    return len({node.ask("head") for node in nodes}) == 1


def test_three_machines_converge_after_a_partition(line: tuple[Namespaces, list[Far]]) -> None:
    namespaces, (first, middle, last) = line
    until(lambda: middle.ask("peers") == "2", "all are connected")
    first.ask("mine", "2")
    until(lambda: agree(first, middle, last), "the first blocks are everywhere")

    namespaces.cut(1)
    lost = sign(0)
    last.ask("send", lost.encode().hex())
    alone = last.ask("mine", "3")
    first.ask("mine", "6")
    until(lambda: agree(first, middle), "the larger side goes on")
    assert last.ask("head") == alone and last.place(lost) == "chain"
    until(lambda: last.ask("peers") == "0", "the silence is noticed")

    namespaces.mend(1)
    until(lambda: agree(first, middle, last), "all are on one chain again")
    until(lambda: first.place(lost) == "pool", "the transaction comes back to all")
    first.ask("mine", "1")
    until(lambda: agree(first, middle, last), "the next block is everywhere")
    assert {node.place(lost) for node in (first, middle, last)} == {"chain"}
