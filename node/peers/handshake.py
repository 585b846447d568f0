"""The first words of two nodes: do they follow the same chain, and who are they?

The listener speaks first, since its challenge must be answered.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace

from node.core import CLIENT_VERSION
from node.peers.errors import FeedMisbehaves, PeerRefused
from node.peers.feed import FeedStatus
from node.peers.identity import Identity, fingerprint, is_proved
from node.peers.link import Link
from node.peers.wire import (
    CHALLENGE_BYTES,
    PROTOCOL_VERSION,
    Hello,
    Kind,
    decode_text,
)
from node.spec.chain import Chain
from node.spec.rlp import RlpError


@dataclass(frozen=True)
class Terms:
    """Whom this node takes."""

    chain: Chain
    genesis: bytes
    known: Collection[str] = ()
    """Fingerprints named in the configuration."""
    admits_unknown: bool = False

    def hello(self, status: FeedStatus) -> Hello:
        chain = self.chain
        return Hello(
            PROTOCOL_VERSION,
            chain.chain_id,
            chain.network_id,
            self.genesis,
            CLIENT_VERSION,
            status,
        )

    def check(self, theirs: Hello) -> None:
        """Raises `PeerRefused`."""
        if theirs.version != PROTOCOL_VERSION:
            raise PeerRefused(f"it speaks version {theirs.version}, not {PROTOCOL_VERSION}")
        if (theirs.chain_id, theirs.network_id) != (self.chain.chain_id, self.chain.network_id):
            raise PeerRefused(f"it is on chain {theirs.chain_id}, not {self.chain.chain_id}")
        if theirs.genesis != self.genesis:
            raise PeerRefused(f"its genesis is {theirs.genesis.hex()}, not {self.genesis.hex()}")


async def greet_listener(
    link: Link, terms: Terms, identity: Identity, listener: str, status: FeedStatus
) -> Hello:
    """The dialler's side; ``listener`` is the fingerprint that TLS proved. Raises `PeerError`."""
    theirs = await _read_hello(link)
    terms.check(theirs)
    if not theirs.challenge:
        raise FeedMisbehaves("its greeting lacks a challenge")
    signature = identity.sign(listener, theirs.challenge)
    ours = replace(terms.hello(status), public_key=identity.public_key, signature=signature)
    link.send(Kind.HELLO, ours.encode())
    return theirs


async def greet_dialler(
    link: Link, terms: Terms, identity: Identity, status: FeedStatus
) -> tuple[Hello, str]:
    """The listener's side: what the other said, and its fingerprint. Raises `PeerError`."""
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    link.send(Kind.HELLO, replace(terms.hello(status), challenge=challenge).encode())
    theirs = await _read_hello(link)
    terms.check(theirs)
    if not is_proved(theirs.public_key, theirs.signature, identity.fingerprint, challenge):
        raise FeedMisbehaves("it does not prove its key")
    name = fingerprint(theirs.public_key)
    if name == identity.fingerprint:
        raise PeerRefused("it is this node itself")
    if not terms.admits_unknown and name not in terms.known:
        raise PeerRefused(f"its fingerprint {name} is not configured here")
    return theirs, name


async def _read_hello(link: Link) -> Hello:
    prefix = await link.read_prefix()
    payload = await link.read_payload(prefix)
    try:
        if prefix.kind is Kind.GOODBYE:
            raise PeerRefused(f"it says: {decode_text(payload)}")
        if prefix.kind is not Kind.HELLO:
            raise FeedMisbehaves(f"it begins with {prefix.kind.name}")
        return Hello.decode(payload)
    except RlpError as error:
        raise FeedMisbehaves(f"its greeting cannot be read: {error}") from error
