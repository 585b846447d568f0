"""What a light node's operator chooses."""

from __future__ import annotations

from dataclasses import dataclass

HASH_DIGITS = 64
LEAST_HEADERS = 1000


@dataclass(frozen=True)
class LightSettings:
    """The node in light mode (`[node] mode = "light"`): it follows headers with all their proofs
    of work and asks the ``http(s)://`` nodes of ``[[peers]]`` for the rest, with proofs."""

    checkpoint: str = ""
    """Hash of a block to begin at, from whom you trust; empty: the genesis."""
    kept_headers: int = 50_000
    """Older headers are forgotten; each takes about 1.1 KB."""
    model_bytes: int = 64 * 1024**2
    """Models beyond this size are not run here."""

    def check(self) -> None:
        """Raises ValueError naming the setting."""
        if self.checkpoint and not _is_hash(self.checkpoint):
            raise ValueError("checkpoint must be a block's hash, 0x and 64 hex digits")
        if self.kept_headers < LEAST_HEADERS:
            raise ValueError(f"kept_headers must be {LEAST_HEADERS} at least")
        if self.model_bytes < 0:
            raise ValueError("model_bytes must not be negative")


def _is_hash(text: str) -> bool:
    digits = text.removeprefix("0x")
    return len(digits) == HASH_DIGITS and all(c in "0123456789abcdefABCDEF" for c in digits)
