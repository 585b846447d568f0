"""What a pool's operator chooses."""

from __future__ import annotations

from dataclasses import dataclass

BOUNDS = (
    ("port", 0, 65535),
    ("solo_port", 0, 65535),
    ("relay_port", 0, 65535),
    ("share_seconds", 0.1, 3600),
    ("minimum_difficulty", 1, 2**64),
    ("fee_basis_points", 0, 10_000),
    ("window_blocks", 1, 1000),
    ("confirmations", 1, 10_000),
    ("payout_wei", 0, 2**256),
    ("max_connections", 1, 1_000_000),
    ("max_connections_per_address", 1, 1_000_000),
    ("ban_seconds", 0, 10**9),
)


@dataclass(frozen=True)
class StratumSettings:
    """A pool for the miners of others, at the embedded node. Blocks pay the node's account;
    what each miner has coming is kept with the chain (`farmctl node balances`)."""

    host: str = "127.0.0.1"
    """Address it listens on."""
    port: int = 0
    """Of the shared pool, where the last shares before a block divide it (PPLNS); 0: none."""
    solo_port: int = 0
    """Where a block is its finder's alone; 0: none."""
    relay_port: int = 0
    """Where miners of other coins are served, in Grin's stratum: the jobs are those of the
    ``[[pools]]`` of such a coin at which the farm itself mines, and shares that it wants are
    handed on; 0: none."""
    tls_certificate: str = ""
    """PEM file; with it every port speaks TLS."""
    tls_key: str = ""
    """PEM file of the certificate's key."""
    share_seconds: float = 10.0
    """Each miner's difficulty is set so that it sends a share so often."""
    minimum_difficulty: int = 1
    """Of a share; miners start with it."""
    fee_basis_points: int = 100
    """Hundredths of a percent of each block that stay with the node's account."""
    window_blocks: int = 2
    """How far back shares count, in blocks' worth of work."""
    confirmations: int = 20
    """A block is shared out, and a payment final, when so many blocks stand on it."""
    payout_wei: int = 0
    """A balance of so much is paid by a transaction; 0: balances are only kept."""
    max_connections: int = 10_000
    """Of all ports but the relay's together; the relay has as many of its own."""
    max_connections_per_address: int = 1024
    """Of both ports together."""
    ban_seconds: float = 600.0
    """An address that floods the pool with bad shares or lines is shut out for so long."""

    def check(self) -> None:
        """Raises ValueError naming the setting."""
        for name, least, most in BOUNDS:
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least} and {most}")
        ports = [port for port in (self.port, self.solo_port, self.relay_port) if port]
        if len(set(ports)) < len(ports):
            raise ValueError("port, solo_port and relay_port must differ")

    @property
    def is_on(self) -> bool:
        return bool(self.port or self.solo_port)
