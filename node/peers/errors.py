"""What can be wrong with a peer.

PeerError
├── FeedUnavailable   it does not answer, or too late
├── FeedUseless       it answers, but not with what it claims to have
├── FeedUnsettled     its chain changes, or is ahead of this machine's clock: nobody's fault
├── FeedMisbehaves    it breaks the protocol or the chain's rules: dropped and banned
└── PeerRefused       one side does not want the other: another chain, an unknown key, no room

``points`` count against the peer (`node.peers.scores`).
"""

from __future__ import annotations

from typing import ClassVar

from node.errors import NodeError

BAN_POINTS = 100.0


class PeerError(NodeError):
    """A peer is of no use now."""

    points: ClassVar[float] = 0.0


class FeedUnavailable(PeerError):
    """The peer does not answer in time, or the connection is lost."""

    points = 10.0


class FeedUseless(PeerError):
    """The peer answers without what was asked of it."""

    points = 20.0


class FeedUnsettled(PeerError):
    """The feed's chain changes while it is read, or is ahead of this machine's clock."""

    points = 2.0


class FeedMisbehaves(PeerError):
    """The peer sends what no honest node would."""

    points = BAN_POINTS


class PeerRefused(PeerError):
    """The two do not belong together, or there is no room."""
