"""Proofs that nothing of an operator passes 32 bits (64 where it says so)."""

from __future__ import annotations

from collections.abc import Sequence

from node.spec.cvm.attributes import Attributes
from node.spec.cvm.errors import require
from node.spec.cvm.operators.operator import Wide, limit_of, precision_of

WORD_LIMIT = (1 << 31) - 1
WIDE_LIMIT = 1 << 62
#: Data and weights of products: 0…255 or ±127 as bytes.
DATA_PRECISION, WEIGHT_PRECISION = 9, 8
_SHIFT_LIMIT = 30


def prove_word(attributes: Attributes, limit: int) -> int:
    """The limit; refuses a model whose values could pass it."""
    require(limit <= WORD_LIMIT, f"{attributes.operator}: {limit} is possible, beyond int32")
    return limit


def prove_wide(attributes: Attributes, limit: int) -> None:
    """Refuses a model whose 64-bit intermediates could pass ±2^62."""
    require(limit <= WIDE_LIMIT, f"{attributes.operator}: {limit} is possible, beyond int64")


def prove_products(
    attributes: Attributes, precisions: Sequence[int], terms: int, *, bias: bool = False
) -> list[int]:
    """Precision of a sum of ``terms`` products of bytes, perhaps with a bias."""
    for role, precision, most in zip(
        ("data", "weight"), precisions, (DATA_PRECISION, WEIGHT_PRECISION), strict=False
    ):
        require(
            precision <= most, f"{attributes.operator}: {role} precision {precision} exceeds {most}"
        )
    limit = limit_of(precisions[0]) * limit_of(precisions[1]) * terms
    limit += limit_of(precisions[2]) if bias else 0
    return [precision_of(prove_word(attributes, limit))]


def half_of(attributes: Attributes) -> int:
    """What is added before the shift, so that halves go up."""
    shift = attributes.ranged("shift", 0, _SHIFT_LIMIT)
    return 1 << (shift - 1) if shift else 0


def clip_limit(attributes: Attributes) -> int:
    """Largest magnitude between the attributes ``low`` and ``high``."""
    low = attributes.ranged("low", -WORD_LIMIT, WORD_LIMIT)
    high = attributes.ranged("high", -WORD_LIMIT, WORD_LIMIT)
    require(low < high, f"{attributes.operator}.low {low} is not below high {high}")
    return max(abs(low), abs(high))


def divide_half_up(dividend: Wide, divisor: Wide | int) -> Wide:
    """⌊dividend / divisor + ½⌋ for divisors above 0."""
    quotient: Wide = (2 * dividend + divisor) // (2 * divisor)
    return quotient
