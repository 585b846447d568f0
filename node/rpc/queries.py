"""Queries over logs: what a client asks for, and what matches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.rpc.errors import InvalidParams
from node.rpc.forms import parse_address, parse_hash
from node.spec.bloom import may_contain
from node.spec.types import Log

MAX_ALTERNATIVES = 256


@dataclass(frozen=True)
class LogQuery:
    """Any of ``addresses`` (none given: all) and, by position, any of the topics."""

    addresses: frozenset[bytes] = frozenset()
    topics: tuple[frozenset[bytes], ...] = ()

    def matches(self, log: Log) -> bool:
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(not w or t in w for w, t in zip(self.topics, log.topics, strict=False))

    def may_match(self, bloom: bytes) -> bool:
        """False only where no log under this bloom can match."""
        groups = [g for g in (self.addresses, *self.topics) if g]
        return all(any(may_contain(bloom, entry) for entry in group) for group in groups)


def parse_query(query: Any) -> LogQuery:
    """Raises `InvalidParams`."""
    if not isinstance(query, dict):
        raise InvalidParams("a log query is an object")
    addresses, topics = query.get("address") or [], query.get("topics") or []
    listed = addresses if isinstance(addresses, list) else [addresses]
    if len(listed) > MAX_ALTERNATIVES:
        raise InvalidParams(f"address: at most {MAX_ALTERNATIVES}")
    if not isinstance(topics, list) or len(topics) > 4:
        raise InvalidParams("topics: a list of at most 4")
    return LogQuery(frozenset(parse_address(a) for a in listed), tuple(_topic(t) for t in topics))


def _topic(topic: Any) -> frozenset[bytes]:
    """Alternatives for one position; none of them, or null among them, lets any pass."""
    listed = topic if isinstance(topic, list) else [topic]
    if len(listed) > MAX_ALTERNATIVES:
        raise InvalidParams(f"topics: at most {MAX_ALTERNATIVES} alternatives each")
    if None in listed:
        return frozenset()
    return frozenset(parse_hash(t, "topic") for t in listed)
