"""What a node's operator chooses for the JSON-RPC: its bounds."""

from __future__ import annotations

from dataclasses import dataclass

BOUNDS = (
    ("requests_per_second", 0, 10**6),
    ("max_body_bytes", 1024, 2**28),
    ("max_batch", 1, 10_000),
    ("max_waiting", 1, 10**6),
    ("request_seconds", 0.1, 3600),
    ("call_gas", 21_000, 2**40),
    ("call_seconds", 0.1, 3600),
    ("call_workers", 1, 64),
    ("max_log_blocks", 1, 10**7),
    ("max_logs", 1, 10**6),
    ("max_filters", 1, 10**5),
    ("filter_seconds", 1, 10**6),
    ("max_connections", 1, 10**5),
    ("max_websockets", 0, 10**5),
    ("max_subscriptions", 1, 10**4),
)


@dataclass(frozen=True)
class RpcSettings:
    """Bounds of the node's JSON-RPC, over HTTP, WebSocket and the socket in its home. What is over
    one of them gets an error that says so."""

    requests_per_second: int = 1000
    """Of one address, each request of a batch by itself; twice as many at once. 0: any number."""
    max_body_bytes: int = 4 * 1024**2
    """Of a request or a batch."""
    max_batch: int = 100
    """Requests in one batch."""
    max_waiting: int = 1024
    """Requests of all clients that are worked on or wait."""
    request_seconds: float = 30.0
    """A request that is not answered by then gets an error."""
    call_gas: int = 50_000_000
    """Most gas of an `eth_call`."""
    call_seconds: float = 5.0
    """Most time of an `eth_call` or `eth_estimateGas`; then it is ended, wherever it is."""
    call_workers: int = 2
    """Processes that execute calls, started when first needed."""
    max_log_blocks: int = 10_000
    """Blocks that one query for logs spans."""
    max_logs: int = 10_000
    """Logs in one answer."""
    max_filters: int = 256
    """Open filters of all clients; the one that was idle longest goes for a new one."""
    filter_seconds: float = 300.0
    """A filter that nobody asks for this long is closed."""
    max_connections: int = 512
    """Of HTTP and WebSocket together."""
    max_websockets: int = 128
    """Of them WebSockets."""
    max_subscriptions: int = 64
    """Of one WebSocket."""

    def check(self) -> None:
        """Raises ValueError naming the setting."""
        for name, least, most in BOUNDS:
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least} and {most}")
