"""Hit ratios of the model cache by policy, on streams of requests for models.

Sizes are those of the whitepaper's eight models (3.7) as INT8, one byte a parameter, and of a tail
of small ones such as phones run. Each stream is the same for every policy. Bytes loaded say what a
miss costs: a large model takes longer to read than a small one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from node.models.cache import Cache, Policy

#: Parameters of the whitepaper's models, in millions.
WHITEPAPER = (61.0, 7.6, 1.24, 138.4, 143.7, 11.3, 60.2, 83.5)
MODELS = 400
REQUESTS, QUICK_REQUESTS = 200_000, 5_000
#: Cache sizes as a share of all models' bytes.
SHARES = (0.05, 0.2)
SEED = 20260

Stream = Callable[[random.Random, int], list[int]]


def sizes() -> list[int]:
    """Bytes of each model: the eight in turn, and two small ones for each."""
    rng = random.Random(SEED)
    eight = [int(millions * 1e6) for millions in WHITEPAPER]
    return [
        eight[i // 3 % 8] if i % 3 == 0 else rng.randrange(20_000, 2_000_000) for i in range(MODELS)
    ]


def zipf(exponent: float) -> Stream:
    """Popularity falls with the rank; the rank says nothing of the size."""

    def draw(rng: random.Random, count: int) -> list[int]:
        ranks = list(range(MODELS))
        rng.shuffle(ranks)
        weights = list(accumulate(1 / (i + 1) ** exponent for i in range(MODELS)))
        return rng.choices(ranks, cum_weights=weights, k=count)

    return draw


def uniform(rng: random.Random, count: int) -> list[int]:
    """As the whitepaper's own experiment: a random model for each picture."""
    return rng.choices(range(MODELS), k=count)


def scan_mixed(rng: random.Random, count: int) -> list[int]:
    """Zipf, and now and then someone tries every model once."""
    popular = zipf(1.0)(rng, count)
    found: list[int] = []
    for start in range(0, count, 4 * MODELS):
        found += popular[start : start + 4 * MODELS] + list(range(MODELS))
    return found[:count]


def moving(rng: random.Random, count: int) -> list[int]:
    """Zipf whose favourites change each tenth of the stream."""
    part = -(-count // 10)
    return [model for _ in range(10) for model in zipf(1.0)(rng, part)][:count]


STREAMS: dict[str, Stream] = {
    "zipf 0.8": zipf(0.8),
    "zipf 1.2": zipf(1.2),
    "uniform": uniform,
    "scans": scan_mixed,
    "moving": moving,
}


def run(quick: bool) -> dict[str, Any]:
    count = QUICK_REQUESTS if quick else REQUESTS
    rows = [
        measure(policy, name, share, count)
        for name in STREAMS
        for share in SHARES
        for policy in Policy
    ]
    return {"rows": rows, "means": means(rows)}


def measure(policy: Policy, stream: str, share: float, count: int) -> dict[str, Any]:
    bytes_of = sizes()
    keys = [number.to_bytes(20, "big") for number in range(MODELS)]
    cache: Cache[int] = Cache(int(sum(bytes_of) * share), policy)
    requests = STREAMS[stream](random.Random(SEED), count)
    loaded_bytes = 0
    started = time.process_time()
    for model in requests:
        if cache.get(keys[model]) is None:
            cache.put(keys[model], model, bytes_of[model])
            loaded_bytes += bytes_of[model]
    seconds = time.process_time() - started
    asked_bytes = sum(bytes_of[model] for model in requests)
    counts = cache.counts()
    return {
        "stream": stream,
        "cache_share": share,
        "policy": str(policy),
        "hit_ratio": counts.hit_ratio,
        "byte_hit_ratio": 1 - loaded_bytes / asked_bytes,
        "evictions": counts.evictions,
        "microseconds_per_request": seconds / count * 1e6,
    }


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for policy in Policy:
        own = [row for row in rows if row["policy"] == policy]
        found.append(
            {"policy": str(policy)}
            | {
                name: sum(row[name] for row in own) / len(own)
                for name in ("hit_ratio", "byte_hit_ratio", "microseconds_per_request")
            }
        )
    return found
