"""Peers that lie: the real protocol, with other answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from node.core import Node
from node.peers.door import Listener, dial
from node.peers.errors import PeerError
from node.peers.feed import FeedStatus
from node.peers.handshake import Terms, greet_dialler, greet_listener
from node.peers.identity import Identity
from node.peers.library import Library
from node.peers.link import Link
from node.peers.session import Session
from node.spec import rlp
from node.spec.chain import Chain
from node.spec.types import Block, Header, Transaction
from tests.node.peers.network import QUICK, Member
from tests.node.workshop import CHAIN, solve


class Silent:
    """Takes no notice of what it is told."""

    def hear_head(self, session: Session) -> None: ...

    def hear_block(self, session: Session, block: Block) -> None: ...

    def hear_hashes(self, session: Session, hashes: list[bytes]) -> None: ...

    async def hear_transactions(self, session: Session, found: list[Transaction]) -> None: ...


@dataclass
class Tale(Library):
    """A library of blocks that are in no store; ``claimed`` is the head that it boasts of."""

    blocks: Sequence[Block]
    claimed: FeedStatus | None = None
    withheld_from: int = 1 << 62
    """No header from this number on is given."""

    def status(self) -> FeedStatus:
        head = self.blocks[-1].header
        total = sum(block.header.difficulty for block in self.blocks)
        return self.claimed or FeedStatus(head.hash(), head.number, total)

    def headers(self, first: int, count: int) -> bytes:
        last = min(first + count, self.withheld_from)
        return rlp.join_list([b.header.encode() for b in self.blocks[first:last]])

    def bodies(self, hashes: Sequence[bytes]) -> bytes:
        bodies = {b.hash(): rlp.join_list(rlp.split_list(b.encode(), 3)[1:]) for b in self.blocks}
        return rlp.join_list([bodies[key] for key in hashes])


def boast(tale: Tale, factor: int = 1000) -> Tale:
    """The same blocks, said to be of far more work."""
    status = tale.status()
    return replace(tale, claimed=replace(status, total_difficulty=status.total_difficulty * factor))


def read_chain(node: Node) -> list[Block]:
    """Every block of a node, genesis first."""
    numbers = range(node.head().number + 1)
    found = (node.store.block(node.store.canonical_hash(n) or b"") for n in numbers)
    return [block for block in found if block is not None]


def reseal(block: Block, **changes: object) -> Block:
    """The block with other contents of its header, and new proof of work."""
    header: Header = replace(block.header, **changes)  # type: ignore[arg-type]
    return replace(block, header=solve(header))


@asynccontextmanager
async def tell(home: Path, library: Library, chain: Chain = CHAIN) -> AsyncIterator[str]:
    """Serve a tale to whoever dials; yields its URL."""
    identity = Identity(home / "villain.pem")
    genesis = library.blocks[0].hash() if isinstance(library, Tale) else bytes(32)
    terms = Terms(chain, genesis, admits_unknown=True)

    async def receive(link: Link, host: str) -> None:
        with suppress(PeerError, OSError):
            hello, key = await greet_dialler(link, terms, identity, library.status())
            await Session(host, link, hello.status, library, Silent(), QUICK, key, host).run()
        await link.close()

    listener = Listener(("127.0.0.1", 0), identity, QUICK, receive, lambda host: True)
    serving = asyncio.create_task(listener.run())
    try:
        yield f"farm://127.0.0.1:{listener.port}#{identity.fingerprint}"
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def knock(home: Path, victim: Member) -> AsyncIterator[Link]:
    """A connection to a node, greeted properly, to say anything on."""
    identity = Identity(home / "knocker.pem")
    terms = Terms(CHAIN, victim.node.store.canonical_hash(0) or b"")
    address = ("127.0.0.1", victim.peers.port or 0)
    link, listener = await dial(address, "", identity, QUICK)
    status = FeedStatus(terms.genesis, 0, 0)
    await greet_listener(link, terms, identity, listener, status)
    try:
        yield link
    finally:
        await link.close()


async def last_words(link: Link) -> str:
    """Read until the other side hangs up; its reason, if it gives one."""
    from node.peers.wire import Kind, decode_text

    words = ""
    with suppress(PeerError):
        while True:
            prefix = await link.read_prefix()
            payload = await link.read_payload(prefix)
            if prefix.kind is Kind.GOODBYE:
                words = decode_text(payload)
    return words
