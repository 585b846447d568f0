"""The identifier by which peers know that they follow the same forks (EIP-2124)."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from node.spec.chain import Chain


def fork_id(genesis_hash: bytes, forks: Sequence[int], head: int) -> tuple[bytes, int]:
    """Four bytes for the forks up to block ``head``, and the next fork's block (0: none).

    ``forks`` are block numbers, ascending (`fork_blocks`).
    """
    checksum = crc32(genesis_hash)
    for block in forks:
        if block > head:
            return checksum.to_bytes(4, "big"), block
        checksum = crc32(block.to_bytes(8, "big"), checksum)
    return checksum.to_bytes(4, "big"), 0


def fork_blocks(chain: Chain) -> list[int]:
    """Blocks after genesis at which rules change."""
    return sorted({chain.istanbul_block, chain.neo_block} - {0})
