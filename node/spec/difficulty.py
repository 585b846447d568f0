"""Difficulty: Byzantium's rule without its bomb, with coarse steps at small difficulties
(cortex-protocol §2)."""

from __future__ import annotations

from node.spec.chain import Chain
from node.spec.crypto import EMPTY_UNCLES_HASH
from node.spec.types import Header

MINIMUM = 2
_SMALL, _LARGE = 1024, 2048
_SMALL_STEP = 2
_MOST_DOWN = -99


def next_difficulty(chain: Chain, timestamp: int, parent: Header) -> int:
    """What a child of ``parent`` made at ``timestamp`` must be worth."""
    steps = _steps(chain, timestamp, parent)
    if parent.difficulty < _SMALL:
        steps = max(-1, min(steps, 1))
        neo = chain.is_neo(parent.number + 1)
        size = _SMALL_STEP if neo else parent.difficulty // 2
    else:
        size = parent.difficulty // (_SMALL if parent.difficulty < _LARGE else _LARGE)
    return max(MINIMUM, parent.difficulty + steps * size)


def _steps(chain: Chain, timestamp: int, parent: Header) -> int:
    """How far to go up (soon after the parent) or down (late)."""
    if parent.timestamp == 0:
        return 0
    up = 1 if parent.uncles_hash == EMPTY_UNCLES_HASH else 2
    late = (timestamp - parent.timestamp) // chain.difficulty_divisor_seconds
    return max(up - late, _MOST_DOWN)
