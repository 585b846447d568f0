"""The records of ``cuckoo_mean.h`` as numpy types."""

from __future__ import annotations

import numpy as np

SEGMENT = np.dtype([("offset", "<u8"), ("capacity", "<u8")])
STEP = np.dtype(
    [
        *(("round", "<u4"), ("side", "<u4"), ("first_bucket", "<u4"), ("buckets", "<u4")),
        *(("input", "<u4"), ("inputs", "<u4"), ("output", "<u4"), ("aggregate", "<u4")),
    ]
)
FOUND = np.dtype([("entry", "<u8"), ("edge", "<u8")])
JOB = np.dtype(
    [
        *(("keys", "<u8", (4,)), ("stop", "<u4"), ("edge_bits", "<u4")),
        *(("bucket_bits", "<u4"), ("pair", "<u4")),
        *(("wanted_count", "<u4"), ("found_capacity", "<u4")),
        *(("arena", "<u8"), ("segments", "<u8"), ("steps", "<u8")),
        *(("counters", "<u8"), ("counter_words", "<u8"), ("counts", "<u8")),
        *(("bitmaps", "<u8"), ("bitmap_words", "<u8")),
        *(("lists", "<u8"), ("list_capacity", "<u8")),
        *(("wanted", "<u8"), ("found", "<u8")),
    ]
)

#: Places in ``Job.counters``.
DROPPED, FOUND_COUNT, COLLECTED, SURVIVORS = range(4)

EDGE_BYTES = 8
#: Shared memory that every group has for itself as a whole, and the tail's besides.
HEADER_BYTES = 16
TAIL_SHARED_BYTES = HEADER_BYTES + 8
TILE_EDGES = 4
"""Edges that a lane of ``trim`` holds between the two steps of writing them."""
BLOCK_BYTES = 64 * EDGE_BYTES
"""A hashed block of edges, kept in shared memory by the lane that hashed it."""

#: What the kernels are compiled for, at most; the tail's is 256.
MAX_HASH_THREADS, MAX_TRIM_THREADS = 384, 1024
