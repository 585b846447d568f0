"""Averages of windows: a sum, and the division half up as a product and a shift.

The product is exact: it is tried for every sum that the bounds allow.
"""

from __future__ import annotations

import numpy as np

from drivers.kernels.infer.intervals import HIGHEST, Interval
from drivers.kernels.infer.primitives import Chain, Multiply, Offset, Shift

#: Sums that are tried; bytes of a window of 16 by 16 have fewer.
_MOST_SUMS = 1 << 17


def divide_half_up(count: int, sums: Interval) -> Chain | None:
    """``⌊(2·x + count) / (2·count)⌋`` for every x between the bounds; None where no product of 32
    bits is exact."""
    low, high = sums.lowest, sums.highest
    if high - low >= _MOST_SUMS:
        return None
    x = np.arange(low, high + 1, dtype=np.int64)
    wanted = (2 * x + count) // (2 * count)
    for bits in range(8, 31):
        factor = ((1 << bits) + count // 2) // count
        offset = (1 << (bits - 1)) + (1 << bits) // (4 * count)
        scaled = x * factor + offset
        if max(abs(low), abs(high)) * factor + offset > HIGHEST:
            return None
        if (scaled >> bits == wanted).all():
            product, added = np.array([[factor], [offset]], np.int64)
            return Multiply(product), Offset(added), Shift(0, bits)
    return None
