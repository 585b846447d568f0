"""A peer in farm.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
HTTP_SCHEMES = ("http", "https")


@dataclass(frozen=True)
class PeerSection:
    """A node from which blocks are taken; each is checked in full here."""

    url: str = ""
    """Another farm's node, ``farm://host:port#fingerprint`` (without the fingerprint any key is
    taken), or the JSON-RPC of a node that serves raw blocks, ``http://…`` or ``https://…``.
    ``farm://#fingerprint`` is not dialled: that node may connect to this one."""

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def is_farm(self) -> bool:
        return self.parts.scheme == "farm"

    @property
    def fingerprint(self) -> str:
        return self.parts.fragment.lower()

    @property
    def address(self) -> tuple[str, int] | None:
        """Where to dial; None where the peer comes by itself."""
        parts = self.parts
        return (parts.hostname, parts.port) if parts.hostname and parts.port else None

    @property
    def name(self) -> str:
        """The URL without secrets."""
        parts = self.parts
        if not self.is_farm:
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return f"farm://{parts.netloc}" if parts.netloc else f"farm://#{self.fingerprint[:16]}"

    def check(self) -> None:
        """Raises ValueError."""
        try:
            address = self.address
        except ValueError as error:
            raise ValueError(f"url has no valid port: {self.url}") from error
        if self.is_farm:
            self._check_farm(address is not None)
        elif self.parts.scheme not in HTTP_SCHEMES or not self.parts.hostname:
            raise ValueError(f"url must be farm://host:port#fingerprint or http(s)://…: {self.url}")

    def _check_farm(self, is_dialled: bool) -> None:
        if self.parts.fragment and not _FINGERPRINT.fullmatch(self.fingerprint):
            raise ValueError(f"a fingerprint has 64 hex digits: {self.url}")
        if not is_dialled and (self.parts.netloc or not self.fingerprint):
            raise ValueError(f"url lacks a host and port: {self.url}")


@dataclass(frozen=True)
class PeerSettings:
    """The node's side of it."""

    peers: tuple[PeerSection, ...] = ()
    listen: str = ""
    """``host:port``; empty: nobody may connect."""
    admits_unknown: bool = False

    @property
    def address(self) -> tuple[str, int] | None:
        if not self.listen:
            return None
        parts = urlsplit(f"//{self.listen}")
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"listen on host:port, not {self.listen!r}")
        return parts.hostname, parts.port

    def check(self) -> None:
        """Raises ValueError."""
        _ = self.address
        for number, peer in enumerate(self.peers, 1):
            try:
                peer.check()
            except ValueError as error:
                raise ValueError(f"number {number}: {error}") from error
        names = [peer.name for peer in self.peers]
        if len(set(names)) < len(names):
            raise ValueError("the same peer is named twice")
