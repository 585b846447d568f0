"""Errors of the light node.

LightError
├── FeedLost       a feed does not answer; it is left alone for a while
├── FeedUseless    it answers, but has not what was asked
│   └── NoMethod   it does not know the method
├── FeedLies       what it says contradicts a checked header: it is dropped
└── NoAnswer       no feed could answer with a proof
"""

from __future__ import annotations

from node.errors import NodeError


class LightError(NodeError):
    """The light node could not do what was asked."""


class FeedLost(LightError):
    """The feed does not answer."""


class FeedUseless(LightError):
    """The feed answers without what was asked."""


class NoMethod(FeedUseless):
    """The feed does not know the method."""


class FeedLies(LightError):
    """The feed says what no header bears out."""


class NoAnswer(LightError):
    """No feed could answer with a proof; add a full node to [[peers]]."""
