"""Where models and inputs are kept, fetched from and given away."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True)
class StorageSettings:
    """Models and inputs: the room for them, and who else keeps and gives them."""

    limit_bytes: int = 50 * GIB
    """Most that models and inputs may take on this disk, half-fetched ones included."""
    replicas: int = 1
    """Copies, this node's own among them, that there must be before the farm calls a model
    usable. Consensus does not ask for it."""
    wait_seconds: float = 2.0
    """How long a reader waits for a content that is being fetched; a transaction or block that
    needs one is tried again later."""
    check_seconds: float = 30.0
    """Between two rounds that fetch what is missing, prove what is here and count copies."""
    folder: str = ""
    """Another program's folder of contents on this machine, such as a CortexTheseus node's
    ``storage``; what is asked for is copied from there. Empty: none."""
    torrent: bool = False
    """Exchange contents by BitTorrent; needs `farmctl[torrent]`."""
    torrent_listen: str = "127.0.0.1:6881"
    """Address and port for other nodes, ``host:port``."""
    torrent_peers: tuple[str, ...] = ()
    """Nodes to exchange with, each ``host:port``."""
    torrent_trackers: tuple[str, ...] = ()
    """URLs of trackers that know further ones."""
    torrent_discovery: bool = False
    """Find peers by DHT and local multicast, and open a port by UPnP and NAT-PMP."""
    upload_bytes_per_second: int = 0
    """To other nodes, in all; 0: no limit."""
    download_bytes_per_second: int = 0
    """From other nodes, in all; 0: no limit."""
    kubo_url: str = ""
    """RPC of an IPFS daemon of yours, e.g. ``http://127.0.0.1:5001``; empty: none."""

    def check(self) -> None:
        """Raises `ValueError` naming the setting at fault."""
        if self.limit_bytes <= 0 or self.replicas < 1:
            raise ValueError("limit_bytes must be positive and replicas at least 1")
        if self.wait_seconds < 0 or self.check_seconds <= 0:
            raise ValueError("wait_seconds must not be negative, check_seconds be positive")
        if min(self.upload_bytes_per_second, self.download_bytes_per_second) < 0:
            raise ValueError("a rate must not be negative; 0 sets no limit")
        for endpoint in (self.torrent_listen, *self.torrent_peers):
            parse_endpoint(endpoint)
        if self.kubo_url and not self.kubo_url.startswith(("http://", "https://")):
            raise ValueError(f"kubo_url {self.kubo_url!r} must start with http:// or https://")


def parse_endpoint(text: str) -> tuple[str, int]:
    """Address and port of ``host:port`` or ``[v6]:port``; raises `ValueError`."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address and port, such as 127.0.0.1:6881") from None
    if not 0 < number < 65536:
        raise ValueError(f"port {number} is out of range 1 … 65535")
    return host, number
