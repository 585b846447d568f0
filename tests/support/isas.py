"""Instruction sets that tests of inference on the CPU are held to."""

from __future__ import annotations

import pytest

from drivers.cpu import layers
from drivers.errors import NotSupported

ISAS = ("baseline", "avx2", "avx512", "avx512vnni")


def skip_without(isa: str) -> None:
    """Skips the test where the processor lacks the set."""
    before = layers.isa()
    try:
        layers.use_isa(isa)
    except NotSupported as lack:
        pytest.skip(f"not run: {lack}")
    layers.use_isa(before)
