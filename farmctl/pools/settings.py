"""A pool in farm.toml."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEMES = {"stratum+tcp": False, "stratum+tls": True}


@dataclass(frozen=True)
class PoolSection:
    """An outside pool; with one or more of these the farm's devices mine there and not for the
    farm's own node. The first that works is used, the others stand in for it."""

    url: str = ""
    """``stratum+tcp://host:port``, or ``stratum+tls://host:port``."""
    user: str = ""
    """What to log in as: the account that is paid, with Cortex ``0x`` and 40 hex digits."""
    worker: str = "farm"
    """Name of this farm at the pool."""
    password_file: str = ""
    """A file, readable by its owner alone, whose first line is the password; empty: none."""
    chain: str = "mainnet"
    """A name from `node/chains`, of a network or a coin: what graphs the pool wants, and whether
    it speaks Cortex's stratum or Grin's."""
    certificate: str = ""
    """PEM file of the authority to trust with TLS; empty: the system's."""

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    @property
    def is_tls(self) -> bool:
        return SCHEMES.get(urlsplit(self.url).scheme, False)

    def check(self) -> None:
        """Raises ValueError."""
        try:
            host, port = self.address
        except ValueError:
            host, port = "", 0
        if urlsplit(self.url).scheme not in SCHEMES or not host or not port:
            raise ValueError(f"url must be stratum+tcp://host:port or stratum+tls://…: {self.url}")
        if urlsplit(self.url).password:
            raise ValueError("url must hold no password; use password_file")
        if not self.user:
            raise ValueError(f"user is missing for {self.url}; name the account that is paid")
