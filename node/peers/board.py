"""What people see of the peers. Written by the peers' tasks, read by any thread."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PeerState(StrEnum):
    CONNECTED = "connected"
    CONNECTING = "connecting"
    LOST = "lost"
    """Tried again after a while."""
    BANNED = "banned"


@dataclass(frozen=True)
class PeerView:
    """A peer as it stands."""

    name: str
    kind: str
    """``farm`` or ``rpc``."""
    inbound: bool
    state: PeerState
    reason: str
    """Why it is not connected, or what was last held against it."""
    number: int | None
    """Height of the chain that it claims; None while nothing was heard."""
    head: bytes | None
    total_difficulty: int | None
    points: float
    """Against it; at 100 it is banned."""


@dataclass(frozen=True)
class SyncProgress:
    """Numbers of blocks."""

    starting: int
    highest: int


@dataclass(frozen=True)
class PeerBoard:
    """``comparison`` says in words whether the feeds agree."""

    listening: str = ""
    """Address and port; empty where no peer may connect."""
    fingerprint: str = ""
    """This node's own."""
    peers: tuple[PeerView, ...] = ()
    syncing: SyncProgress | None = None
    comparison: str = "no feeds: this node trusts and follows nobody but itself"

    @property
    def connected(self) -> int:
        return sum(peer.state is PeerState.CONNECTED for peer in self.peers)
