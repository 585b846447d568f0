"""The records of ``records.h`` as numpy types, and where their pointers are."""

from __future__ import annotations

import numpy as np

FINISH = np.dtype(
    [
        *((name, "<u8") for name in ("bias", "multiplier", "offset", "other", "target")),
        *((name, "<i4") for name in ("pre_half", "pre_shift", "pre_low", "pre_high")),
        *(("shift", "<i4"), ("low", "<i4"), ("high", "<i4"), ("rescales", "<u4")),
        *((name, "<i4") for name in ("own", "theirs", "half", "residual_shift")),
        *((name, "<i4") for name in ("residual_low", "residual_high", "other_zero")),
        *(("adds", "<u4"), ("other_stride", "<u4"), ("target_stride", "<u4")),
        *(("target_zero", "<i4"), ("words", "<u4"), ("channels", "<u4"), ("plane", "<u4")),
        *(("wide", "<u4"), ("unused", "<u4")),
    ]
)
IMAGE = np.dtype(
    [
        *((name, "<i4") for name in ("height", "width", "out_height", "out_width")),
        *((name, "<i4") for name in ("stride_y", "stride_x", "pad_y", "pad_x")),
        *(("pixels", "<u4"), ("stride", "<u4")),
    ]
)
TAP = np.dtype([("offset", "<i4"), ("dy", "<i2"), ("dx", "<i2")])
_WINDOW = tuple((name, "<i4") for name in ("rows", "columns", "dilation_y", "dilation_x"))
CONVOLUTION = np.dtype(
    [
        *(("finish", FINISH), ("image", IMAGE)),
        *((name, "<u8") for name in ("source", "outside", "weights", "taps", "partial", "tickets")),
        *((name, "<u4") for name in ("rows", "chunks", "bundle_in", "bundle_out")),
        *(("splits", "<u4"), ("split_chunks", "<u4")),
    ]
)
DEPTHWISE = np.dtype(
    [
        *(("finish", FINISH), ("image", IMAGE), ("source", "<u8"), ("weights", "<u8")),
        *(*_WINDOW, ("zero", "<i4"), ("unused", "<u4")),
    ]
)
POOLING = np.dtype(
    [
        *(("finish", FINISH), ("image", IMAGE), ("source", "<u8")),
        *(*_WINDOW, ("zero", "<i4"), ("largest", "<u4")),
    ]
)
MAPPING = np.dtype(
    [
        *(("finish", FINISH), ("source", "<u8"), ("table", "<u8")),
        *(("pixels", "<u4"), ("stride", "<u4"), ("zero", "<i4"), ("unused", "<u4")),
    ]
)
CONVERSION = np.dtype(
    [
        *(("bytes", "<u8"), ("words", "<u8"), ("images", "<u4"), ("plane", "<u4")),
        *(("channels", "<u4"), ("stride", "<u4"), ("zero", "<i4"), ("unused", "<u4")),
    ]
)
TOLD = np.dtype([("target", "<u8")])

#: Of the kernels that are launched over planes and over dense layers.
LANES = 128
DENSE_SHARED_BYTES = LANES * 9 * 4
#: A unit that is nowhere.
NOWHERE = -32768
#: Rows and columns, and bytes, that a window may span, for `TAP`.
MOST_ROWS, MOST_BYTES = 32767, 2**31 - 1
