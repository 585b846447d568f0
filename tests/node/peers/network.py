"""A network of real nodes in one process, over real TLS on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from farmctl.cycles import verify_cycle
from node.core import Node
from node.importing import Imported
from node.peers.limits import PeerLimits
from node.peers.service import PeerService
from node.peers.settings import PeerSection, PeerSettings
from node.spec.types import Block, Transaction
from tests.node.workshop import BLOCK_SECONDS, Clock, open_node, solve

#: Everything that waits in a peer waits for less in tests.
QUICK = PeerLimits(
    handshake_seconds=3.0,
    request_seconds=3.0,
    frame_seconds=2.0,
    write_seconds=2.0,
    ping_seconds=0.5,
    idle_seconds=3.0,
    redial_seconds=0.05,
    redial_most_seconds=0.2,
    round_seconds=0.1,
    compare_seconds=0.3,
)
TRIES_SECONDS = 20.0


class Member:
    """A node with its peers."""

    def __init__(
        self,
        home: Path,
        clock: Callable[[], float],
        peers: Sequence[str] = (),
        limits: PeerLimits = QUICK,
        coinbase: bytes = b"\xaa" * 20,
        admits_unknown: bool = True,
        settings: PeerSettings | None = None,
    ) -> None:
        self._clock = clock
        self.node = open_node(home, clock, coinbase)
        settings = settings or PeerSettings(
            tuple(PeerSection(url) for url in peers), "127.0.0.1:0", admits_unknown
        )
        self.peers = PeerService(
            settings,
            self.node,
            self.import_blocks,
            verify_cycle,
            home / "peer.pem",
            limits,
            clock,
        )

    @property
    def url(self) -> str:
        return self.url_at(self.peers.port or 0)

    def url_at(self, port: int) -> str:
        """Its URL where it is reached by another port."""
        return f"farm://127.0.0.1:{port}#{self.peers.identity.fingerprint}"

    async def __aenter__(self) -> Member:
        await self.peers.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.peers.stop()
        self.node.close()

    async def import_blocks(self, blocks: Sequence[Block]) -> Imported:
        return await asyncio.to_thread(self.node.import_blocks, blocks)

    async def mine(self, count: int = 1) -> None:
        """Blocks on this node's head, as a miner finds them."""
        assert isinstance(self._clock, Clock)
        await asyncio.to_thread(mine_at_once, self.node, self._clock, count)

    async def send(self, transaction: Transaction) -> None:
        await asyncio.to_thread(self.node.send, transaction)

    def reasons(self) -> str:
        return " | ".join(view.reason for view in self.peers.board().peers)


def mine_at_once(node: Node, clock: Clock, count: int) -> None:
    """As `workshop.mine`, but each block follows its parent's time: two halves of a network
    mine on one clock."""
    for _ in range(count):
        clock.now = max(clock.now, node.head().timestamp + BLOCK_SECONDS)
        seal(node)


def seal(node: Node) -> None:
    """A block on the node's head, at the time of its clock."""
    package = node.refresh_work()
    sealed = solve(package.block.header)
    node.submit(package.seal_hash, sealed.nonce_int(), sealed.solution)


async def until(holds: Callable[[], object], what: str, seconds: float = TRIES_SECONDS) -> None:
    """Wait for something to come true; name it where it does not."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.02)
