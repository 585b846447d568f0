"""The kernels' source as one text, for compilers that read no files."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
#: Includes of the targets that no GPU's compiler is.
HOST_ONLY = frozenset({"host.hpp", "bare_hip.h", "lanes.hpp", "lanes_matrix.hpp"})
INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Kernels:
    """Some kernels that are compiled together. ``bare_hip`` is what they are told where clang
    compiles them without HIP's headers."""

    name: str
    path: Path
    bare_hip: str
    uses_own_instructions: bool = False
    """Of one architecture alone, such as sm_90a."""


CUCKOO = Kernels("cuckoo", HERE / "cuckoo_mean.cu", "CUCKOO_BARE_HIP")
INFER = Kernels("infer", HERE / "infer" / "infer.cu", "INFER_BARE_HIP", True)


@functools.cache
def kernel_source(kernels: Kernels = CUCKOO) -> str:
    """CUDA or HIP, with its own headers put in place."""
    return _inline(kernels.path, set())


@functools.cache
def source_hash(kernels: Kernels = CUCKOO) -> str:
    return hashlib.blake2b(kernel_source(kernels).encode(), digest_size=8).hexdigest()


def _inline(path: Path, seen: set[Path]) -> str:
    def put_in_place(match: re.Match[str]) -> str:
        header = (path.parent / match[1]).resolve()
        if header in seen or header.name in HOST_ONLY:
            return ""
        seen.add(header)
        return _inline(header, seen)

    return INCLUDE.sub(put_in_place, path.read_text("utf-8")).replace("#pragma once\n", "")
