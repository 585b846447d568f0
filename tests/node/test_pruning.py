"""Old states go, and nothing that is still needed: whatever happens meanwhile, and wherever the
process is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.core import Node
from node.errors import StatePruned, StoreDamaged
from node.importing import Outcome
from node.rpc.dispatcher import Dispatcher
from node.rpc.settings import RpcSettings
from node.spec.errors import InvalidBlock, Reason
from node.spec.transition import created_address
from node.spec.trie import MissingNode
from node.spec.types import Block
from node.store import pruning
from node.store.pruning import Pruner
from tests.node.walks import count_nodes, headers_from
from tests.node.workshop import (
    BLOCK_SECONDS,
    OTHER_MINER,
    RICH,
    Clock,
    mine,
    open_node,
    sign,
    solve,
)

KEEP = 8
#: Stores the second word of the call under the first.
RUNTIME = bytes.fromhex("60203560003555")
CREATION = bytes.fromhex("600780600b6000396000f3") + RUNTIME
CONTRACTS = tuple(created_address(RICH, nonce) for nonce in (0, 1))


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


class World:
    """A node with two contracts of the same code, whose slots are set to one of two values: so
    states share nodes, and what died comes back."""

    def __init__(self, node: Node, clock: Clock, seed: int = 1) -> None:
        self.node, self.clock, self.chance = node, clock, random.Random(seed)
        self.nonce = node.state_at(node.head()).get_nonce(RICH)

    def deploy(self) -> None:
        for _ in CONTRACTS:
            self._send(None, CREATION)
        mine(self.node, self.clock)

    def live(self, blocks: int) -> None:
        for _ in range(blocks):
            for _ in range(self.chance.randint(0, 3)):
                slot, value = self.chance.randrange(12), self.chance.randrange(2)
                self._send(self.chance.choice(CONTRACTS), word(slot) + word(value))
            mine(self.node, self.clock)

    def fork(self) -> None:
        """A block beside the head."""
        parent = self.node.store.header(self.node.head().parent_hash)
        assert parent is not None
        self.clock.now += 1
        built = self.node.producer.build(parent).block
        side = replace(built, header=solve(replace(built.header, extra=b"side")))
        assert self.node.import_block(side) is Outcome.SIDE

    def _send(self, to: bytes | None, data: bytes) -> None:
        self.node.send(sign(self.nonce, to=to, data=data))
        self.nonce += 1

    def check(self) -> None:
        """Each state that should be here is here, whole."""
        for header in headers_from(self.node, self.node.store.oldest_state()):
            count_nodes(self.node.store, header.state_root)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices small enough for a small chain to have many."""
    for name, size in (("MARK_SLICE", 3), ("SWEEP_SLICE", 5), ("ROOT_SLICE", 3)):
        monkeypatch.setattr(pruning, name, size)


@pytest.fixture
def world(node: Node, clock: Clock) -> Iterator[World]:
    opened = World(node, clock)
    opened.deploy()
    yield opened


def pruner_of(node: Node, keep: int = KEEP) -> Pruner:
    return node.store.pruner(keep, minimum_nodes=1)


def run(pruner: Pruner) -> int:
    """Do one cycle; return how many slices it had."""
    slices = 1
    while pruner.step():
        slices += 1
    return slices


def test_old_states_go_and_young_ones_stay(world: World, small: None) -> None:
    node = world.node
    world.live(40)
    world.fork()
    before = node.store.count("nodes")
    pruner = pruner_of(node)
    assert run(pruner) > 20
    assert pruner.last is not None
    assert pruner.last.kept == node.store.count("nodes") < before // 2
    assert pruner.last.dropped == before - pruner.last.kept
    assert node.store.oldest_state() == node.head().number - KEEP
    world.check()
    assert len(headers_from(node, node.store.oldest_state())) == KEEP + 2

    old = node.header_at(20)
    assert old is not None
    with pytest.raises(StatePruned, match="state of block 20 is pruned; this node keeps"):
        node.state_at(old)
    with pytest.raises((StoreDamaged, MissingNode)):
        count_nodes(node.store, old.state_root)
    assert node.store.block(old.hash()) is not None, "blocks themselves stay"
    world.live(3)
    world.check()


def test_exactly_the_reachable_nodes_are_left(world: World, small: None) -> None:
    world.live(30)
    run(pruner_of(world.node))
    reachable: set[bytes] = set()
    for header in headers_from(world.node, world.node.store.oldest_state()):
        reachable |= nodes_of(world.node, header.state_root)
    assert {key for key, _ in world.node.store.records("nodes")} == reachable


def nodes_of(node: Node, root: bytes) -> set[bytes]:
    seen: set[bytes] = set()
    stack = [root]
    known = dict(node.store.records("nodes"))
    while stack:
        key = stack.pop()
        if key in known and key not in seen:
            seen.add(key)
            # Any 32 bytes within that are the name of a node are taken for one.
            raw = known[key]
            stack += [raw[i : i + 32] for i in range(len(raw) - 31)]
    return seen


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 8))]
)
def test_blocks_go_in_while_states_go(world: World, small: None, seed: int) -> None:
    """Slices, blocks, branches and reorganisations in random order."""
    world.chance.seed(seed)
    world.live(12)
    pruner = pruner_of(world.node)
    for _ in range(80):
        for _ in range(world.chance.randint(0, 12)):
            pruner.step()
        if world.chance.random() < 0.3:
            world.live(1)
        if world.chance.random() < 0.1:
            world.fork()
        if world.chance.random() < 0.05:
            pruner.close()
            pruner = pruner_of(world.node)
        world.check()
    assert world.node.store.oldest_state() > 0
    pruner.close()
    assert world.node.store.count("young") == 0


def test_nothing_is_done_before_it_pays(world: World) -> None:
    world.live(10)
    node = world.node
    assert not node.store.pruner(0, minimum_nodes=1).step(), "an archive"
    assert not node.store.pruner(KEEP).step(), "too few nodes to care"
    pruner = pruner_of(node)
    run(pruner)
    left = node.store.count("nodes")
    world.live(1)
    assert not pruner.step()
    while node.store.count("nodes") < 2 * left:
        world.live(1)
    assert pruner.step()
    pruner.close()


def test_a_branch_below_the_oldest_state_is_refused(
    world: World, tmp_path: Path, clock: Clock
) -> None:
    other = open_node(tmp_path / "other", clock, OTHER_MINER)
    late = mine(other, clock)
    other.close()
    world.live(12)
    run(pruner_of(world.node))
    with pytest.raises(InvalidBlock) as refusal:
        world.node.import_block(late)
    assert refusal.value.reason is Reason.BRANCH_TOO_DEEP


def test_a_branch_within_reach_is_followed_after_pruning(
    world: World, tmp_path: Path, clock: Clock
) -> None:
    world.live(12)
    node = world.node
    run(pruner_of(node))
    parent = node.header_at(node.store.oldest_state())
    assert parent is not None
    branch: list[Block] = []
    for _ in range(KEEP + 1):
        clock.now += BLOCK_SECONDS
        built = node.producer.build(branch[-1].header if branch else parent).block
        branch.append(replace(built, header=solve(replace(built.header, extra=b"branch"))))
        node.import_block(branch[-1])
    assert node.head() == branch[-1].header
    world.check()


def test_a_killed_cycle_is_given_up(tmp_path: Path, clock: Clock, small: None) -> None:
    """Wherever it stopped, the next process finds every state whole and prunes anew."""
    for slices in (2, 9):
        home = tmp_path / str(slices)
        node = open_node(home, clock)
        world = World(node, clock, slices)
        world.deploy()
        world.live(12)
        pruner = pruner_of(node)
        done = sum(pruner.step() for _ in range(slices))
        assert done == slices
        world.live(1)
        node.store.close()  # and nothing else: the cycle knows nothing of it

        again = open_node(home, clock)
        assert again.store.record("meta", b"pruning") is None
        assert again.store.count("young") == 0
        after = World(again, clock, slices)
        after.check()
        after.live(1)
        run(pruner_of(again))
        after.check()
        again.close()


def test_another_process_may_write_the_blocks(tmp_path: Path, clock: Clock, small: None) -> None:
    """Where blocks are imported apart, the states are dropped here."""
    node = open_node(tmp_path, clock, apart=True)
    world = World(node, clock, 5)
    world.deploy()
    world.live(12)
    pruner = pruner_of(node)
    for _ in range(12):
        for _ in range(8):
            pruner.step()
        world.live(1)
        world.check()
    assert node.store.oldest_state() > 0
    pruner.close()
    node.close()


PRUNING = """
import sys
from pathlib import Path
from node.store import pruning
from tests.node.test_pruning import World, pruner_of
from tests.node.workshop import Clock, open_node
pruning.MARK_SLICE, pruning.SWEEP_SLICE = 20, 20
clock = Clock()
node = open_node(Path(sys.argv[1]), clock)
clock.now = max(clock.now, node.head().timestamp)
world = World(node, clock, int(sys.argv[2]))
if not world.nonce:
    world.deploy()
pruner = pruner_of(node)
print("ready", flush=True)
while True:
    world.live(1)
    for _ in range(40):
        pruner.step()
"""


def test_a_process_killed_while_it_prunes_loses_nothing(tmp_path: Path, clock: Clock) -> None:
    moments = random.Random(6)
    for kill in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PRUNING, str(tmp_path), str(kill)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.1, 0.4))
            process.send_signal(signal.SIGKILL)
        node = open_node(tmp_path, clock)
        World(node, clock).check()
        node.close()


async def test_a_client_is_told_what_is_not_kept(world: World) -> None:
    world.live(20)
    run(pruner_of(world.node))
    dispatcher = Dispatcher(world.node, RpcSettings())
    oldest = world.node.store.oldest_state()
    for number, error in ((oldest, None), (oldest - 1, "pruned"), (1, "pruned")):
        params = ["0x" + RICH.hex(), hex(number)]
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": params}
        reply = await dispatcher.answer(asked, "test")
        assert isinstance(reply, dict)
        if error is None:
            assert int(reply["result"], 16) > 0
        else:
            assert reply["error"]["code"] == -32000
            assert f"state of block {number} is pruned" in reply["error"]["message"]
            assert f"keeps those from block {oldest} on" in reply["error"]["message"]
    dispatcher.close()
