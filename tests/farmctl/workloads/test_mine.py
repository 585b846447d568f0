"""Mining: ranges of nonces and targets."""

from __future__ import annotations

import itertools

from farmctl.workloads.mine import BITS_PER_RANGE, first_nonce, meets_target
from node.spec.cuckoo import solution_hash

SEAL = "ab" * 32


def test_ranges_of_devices_runs_and_works_are_disjoint() -> None:
    devices = [f"rig-{rig}/cuda:{index}" for rig in range(50) for index in range(8)]
    starts = [
        first_nonce(device, run, seal)
        for device, run, seal in itertools.product(devices, ["r1", "r2"], [SEAL])
    ]
    assert len(set(starts)) == len(starts)
    assert all(start % 2**BITS_PER_RANGE == 0 for start in starts)
    assert all(start >= 0 and start + 2**BITS_PER_RANGE <= 2**64 for start in starts)
    assert first_nonce("a/cpu:0", "r", SEAL) != first_nonce("a/cpu:0", "r", "cd" * 32)


def test_the_target_bounds_the_hash_of_the_solution() -> None:
    edges = tuple(range(42))
    value = int.from_bytes(solution_hash(edges), "big")
    assert meets_target(edges, f"{value:064x}")
    assert not meets_target(edges, f"{value - 1:064x}")
    assert meets_target(edges, "f" * 64)
