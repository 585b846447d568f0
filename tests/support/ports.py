"""Ports for servers that tests start."""

from __future__ import annotations

import itertools
import os
import socket

#: Below those that the system gives to outgoing connections, one of which could take a port
#: between its choice here and its use. Each process begins elsewhere.
FIRST, LAST = 10_000, 32_000
_candidates = itertools.count(FIRST + os.getpid() * 97 % (LAST - FIRST))


def free_port() -> int:
    """A port that no server has, on any address; another each time."""
    for candidate in itertools.islice(_candidates, LAST - FIRST):
        port = FIRST + (candidate - FIRST) % (LAST - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port from {FIRST} to {LAST} is free")
