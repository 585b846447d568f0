"""The import process: the same chain as without it, whatever happens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.core import Node
from node.errors import ImportLost
from node.importing import Outcome
from node.inference import ReferenceEngine
from node.spec.errors import InvalidBlock, Reason
from node.spec.types import Block
from node.worker import client
from node.worker.client import ImportWorker
from tests.node.workshop import (
    MINER,
    POOR,
    Clock,
    mine,
    open_node,
    sign,
    solve,
)


@pytest.fixture
def apart(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    opened = open_node(tmp_path / "apart", clock, apart=True)
    yield opened
    opened.close()


def worker(node: Node) -> ImportWorker:
    assert isinstance(node.importer, ImportWorker)
    return node.importer


def wait_for_pid(node: Node) -> int:
    deadline = time.monotonic() + 30
    while (pid := worker(node).pid) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return pid


def blocks_of(node: Node) -> list[Block]:
    """From the first after genesis to the head."""
    found = []
    for number in range(1, node.head().number + 1):
        block = node.store.block(node.store.canonical_hash(number) or b"")
        assert block is not None
        found.append(block)
    return found


def test_the_chain_is_the_same(node: Node, apart: Node, clock: Clock) -> None:
    for nonce in range(6):
        node.send(sign(nonce, value=1))
        mine(node, clock)
    blocks = blocks_of(node)
    assert apart.import_block(blocks[0]) is Outcome.HEAD
    done = apart.import_blocks(blocks)
    assert done.outcomes == (Outcome.KNOWN,) + (Outcome.HEAD,) * 5
    assert apart.head() == node.head()
    assert apart.state_at(apart.head()).get_balance(POOR) == 6
    assert worker(apart).pid != os.getpid()


def test_the_mempool_follows_a_reorganisation(node: Node, apart: Node, clock: Clock) -> None:
    kept, back = sign(0, value=1), sign(1, value=2)
    for transaction in (kept, back):
        apart.send(transaction)
    mine(apart, clock)
    assert len(apart.mempool) == 0
    node.send(kept)
    mine(node, clock, 2)
    heard: list[None] = []
    apart.on_change(lambda: heard.append(None))
    assert apart.import_blocks(blocks_of(node)).outcomes[-1] is Outcome.HEAD
    assert apart.head() == node.head()
    assert back.hash() in apart.mempool and kept.hash() not in apart.mempool
    assert heard


def test_a_wrong_block_stops_those_after_it(node: Node, apart: Node, clock: Clock) -> None:
    mine(node, clock, 4)
    blocks = blocks_of(node)
    wrong = Block(solve(replace(blocks[2].header, state_root=bytes(32))))
    done = apart.import_blocks([*blocks[:2], wrong, blocks[3]])
    assert done.outcomes == (Outcome.HEAD, Outcome.HEAD)
    assert isinstance(done.failure, InvalidBlock)
    assert done.failure.reason is Reason.BAD_STATE_ROOT
    assert apart.head() == blocks[1].header
    with pytest.raises(InvalidBlock):
        apart.import_block(wrong)
    assert apart.import_blocks(blocks).failure is None


def test_a_killed_process_is_started_again_and_nothing_is_lost(
    node: Node, apart: Node, clock: Clock
) -> None:
    mine(node, clock, 40)
    blocks, pids = blocks_of(node), set[int]()
    for first in range(0, 40, 10):
        pid = wait_for_pid(apart)
        pids.add(pid)
        os.kill(pid, signal.SIGKILL)
        assert set(apart.import_blocks(blocks[first : first + 10]).outcomes) <= {
            Outcome.HEAD,
            Outcome.KNOWN,
        }
    assert len(pids) == 4
    assert apart.head() == node.head()


def test_a_process_that_hangs_is_ended(
    node: Node, apart: Node, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = mine(node, clock)
    apart.importer.retry()
    hung = wait_for_pid(apart)
    os.kill(hung, signal.SIGSTOP)
    monkeypatch.setattr(client, "TASK_SECONDS", 1.5)
    assert apart.import_block(block) is Outcome.HEAD
    assert worker(apart).pid != hung


def kill_on_sight(*_: object) -> bool:
    """A verifier under which the process dies."""
    os.kill(os.getpid(), signal.SIGKILL)
    return True


def test_a_block_that_kills_the_process_is_no_invalid_block(
    tmp_path: Path, node: Node, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF_SECONDS", (0.0,))
    block = mine(node, clock)
    loader = node.loader
    other = Node(
        node.chain,
        tmp_path / "x",
        loader,
        ReferenceEngine(loader),
        MINER,
        kill_on_sight,
        apart=True,
    )
    with pytest.raises(ImportLost, match="died 3 times"):
        other.import_block(block)
    assert other.head().number == 0
    other.close()


OWNER = """
import sys, time
from pathlib import Path
from tests.node.worker.test_import_worker import wait_for_pid
from tests.node.workshop import Clock, open_node
print(wait_for_pid(open_node(Path(sys.argv[1]), Clock(), apart=True)), flush=True)
time.sleep(60)
"""


def test_the_process_ends_with_its_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
