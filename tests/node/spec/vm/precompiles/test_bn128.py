"""The curve BN128: known points, and no harm to the process that imports it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from node.spec.vm.errors import PrecompileFailed
from node.spec.vm.precompiles import bn128


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


DOUBLED = (
    0x030644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD3,
    0x15ED738C0E0A7C92E7845F96B2AE9C0A68A6A449E3538FC7FF3EBF7A5A18A2C4,
)


def test_the_generator_is_doubled() -> None:
    generator = word(1) + word(2)
    assert bn128.add(generator * 2) == b"".join(map(word, DOUBLED))


def test_a_point_off_the_curve_is_refused() -> None:
    with pytest.raises(PrecompileFailed):
        bn128.add(word(1) + word(3) + bytes(64))


def test_import_leaves_the_recursion_limit_as_it_was() -> None:
    """In a process of its own: with the library's own limit, this nesting ends it by a signal."""
    program = (
        "import json, sys; sys.setrecursionlimit(1234)\n"
        "import node.spec.vm.precompiles.bn128\n"
        "assert sys.getrecursionlimit() == 1234\n"
        "try: json.loads('[' * 99_000)\n"
        "except RecursionError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
