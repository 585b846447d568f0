"""What the operator of the remote-inference service chooses."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

GIB = 1024**3
MIB = 1024**2
#: How long a CortexTheseus node waits for an answer.
CLIENT_SECONDS = 15.0
ENGINES = ("auto", "farm", "cpu", "reference")
BOUNDS = (
    ("follow_from", -1, 2**63),
    ("prefetch_bytes", 0, 2**60),
    ("deadline_seconds", 0.1, CLIENT_SECONDS - 0.5),
    ("receive_seconds", 0.1, 3600),
    ("max_body_bytes", 1024, 2**30),
    ("max_waiting", 1, 10**6),
    ("max_waiting_bytes", 1024, 2**40),
    ("max_connections", 1, 10**5),
    ("max_connections_per_caller", 1, 10**5),
    ("requests_per_second", 0, 10**6),
    ("threads", 1, 256),
    ("cache_bytes", 0, 2**40),
    ("cross_check_ratio", 0, 1),
)


@dataclass(frozen=True)
class SynapseSettings:
    """Remote inference for CortexTheseus nodes, which ask over plain HTTP: the protocol has no
    password and no TLS, so that the address of a caller is all there is to know him by."""

    listen: str = ""
    """``host:port`` at which `farmctl up` serves it; empty: it does not. `farmctl node synapse`
    takes 127.0.0.1:4321 then."""
    engine: str = "auto"
    """Who computes: `farm`, its devices over the bus; `cpu`, this machine's processor without a
    farm; `reference`, slow and certain; `auto`: the farm where it is up, else the processor."""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks whose addresses are answered."""
    first: tuple[str, ...] = ()
    """Networks, of those allowed, whose requests go before the others'."""
    follow: str = ""
    """JSON-RPC of a node, ``http://host:port``, whose new models and inputs are fetched before
    they are asked for; empty: none."""
    follow_from: int = -1
    """First block to follow from; -1: the node's head at the first start."""
    prefetch_bytes: int = 10 * GIB
    """Most that is fetched ahead, in all."""
    deadline_seconds: float = 12.0
    """A request is answered by then, with an error where it must be; its node waits 15 s. What is
    still computed goes on, and the next to ask for it gets it."""
    receive_seconds: float = 10.0
    """A request has to have come whole so long after its first byte."""
    max_body_bytes: int = 65 * MIB
    """Of a request: twice the longest input that a contract can hold, as it comes in hex."""
    max_waiting: int = 512
    """Different inferences that are worked on or wait."""
    max_waiting_bytes: int = 256 * MIB
    """Of all requests that are read, and of all inputs that are worked on."""
    max_connections: int = 1024
    """Of all callers."""
    max_connections_per_caller: int = 512
    """Of one address."""
    requests_per_second: int = 0
    """Of one address; further ones wait their turn. 0: any number."""
    threads: int = 16
    """Requests worked on at the same time; those that wait for a content take none."""
    cache_bytes: int = 256 * MIB
    """Most that kept results may take."""
    cross_check_ratio: float = 0.0
    """Share of the engine's results computed again by the CVM reference before they are given. A
    claim that a model or input is at fault is always judged by the reference."""

    def check(self) -> None:
        """Raises ValueError naming the setting."""
        for name, least, most in BOUNDS:
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least} and {most}")
        if self.engine not in ENGINES:
            raise ValueError(f"engine is one of {', '.join(ENGINES)}")
        if self.listen:
            split_endpoint(self.listen)
        for name in ("allow", "first"):
            _check_networks(name, getattr(self, name))
        if self.follow and not self.follow.startswith(("http://", "https://")):
            raise ValueError(f"follow {self.follow!r} must start with http:// or https://")


def _check_networks(name: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ValueError(f"{name}: {error}; a network is such as 10.0.0.0/24") from error


def split_endpoint(text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``; raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"listen {text!r} is not host:port, such as 127.0.0.1:4321")
    return host.removeprefix("[").removesuffix("]"), int(port)
