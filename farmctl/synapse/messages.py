"""What the remote-inference service tells the farm.

==========================  =========  =====================================================
``synapse.status``          publish    `SynapseStatus`, each second
==========================  =========  =====================================================
"""

from __future__ import annotations

from pydantic import BaseModel

from farmctl.messages import Message


class SynapseFigures(BaseModel):
    """Counts are since the service's process began."""

    listen: str
    """``host:port``."""
    engine: str
    """Who computes."""
    uptime_seconds: float
    requests: dict[str, int]
    """By outcome: ok, logic_error, unavailable, late, busy, malformed, refused."""
    connections: int
    waiting: int
    """Inferences that are worked on or wait."""
    kept_results: int
    kept_bytes: int
    resident_models: int
    resident_bytes: int
    p50_milliseconds: float | None
    """Of the last requests; None before the first."""
    p99_milliseconds: float | None
    following: int | None
    """1 while the followed node answers; None where none is followed."""
    follow_block: int | None
    """The next block to be read of it."""
    follow_wanted: int | None
    """Contents that are still to be fetched ahead."""
    prefetched_bytes: int | None


class SynapseStatus(SynapseFigures, Message):
    """How the service does."""
