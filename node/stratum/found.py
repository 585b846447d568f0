"""Blocks that miners found, in files until the chain has them.

A block is handed to the system before its finder is answered, with what it will be divided by.
"""

from __future__ import annotations

from pathlib import Path

from node.spec import rlp
from node.spec.types import Block
from node.stratum.finds import Find


class FoundBlocks:
    """Blocks that miners found, until the chain has them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder

    def keep(self, find: Find, block: Block) -> None:
        """Raises OSError where the disk does not take it."""
        path = self._path(find.block_hash)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(rlp.encode([find.encode(), block.encode()]))
        fresh.rename(path)

    def forget(self, block_hash: bytes) -> None:
        self._path(block_hash).unlink(missing_ok=True)

    def read(self) -> list[tuple[Find, Block]]:
        """Lowest first. What a loss of power has damaged is dropped."""
        found = []
        for path in self._folder.glob("*.block"):
            try:
                parts = rlp.decode_list(rlp.decode(path.read_bytes()), 2)
                find, block = map(rlp.decode_bytes, parts)
                found.append((Find.decode(find), Block.decode(block)))
            except (rlp.RlpError, ValueError):
                path.unlink()
        return sorted(found, key=lambda pair: pair[0].number)

    def _path(self, block_hash: bytes) -> Path:
        return self._folder / f"{block_hash.hex()}.block"
