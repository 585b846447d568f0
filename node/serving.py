"""What the node's web servers have in common."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from node.errors import NodeError

#: A client that reads nothing of what was sent to it is cut off by the kernel after this long.
UNREAD_MS = 20_000


class GuestServer(uvicorn.Server):
    """Leaves the signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def open_port(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `NodeError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, reuse_port=False)
    except OSError as error:
        raise NodeError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another port"
        ) from error
    # Connections inherit both. Without the first an answer in two pieces waits 40 ms for the other
    # side's acknowledgement; asyncio sets it only for sockets that say their protocol.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    return listening
