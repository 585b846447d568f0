"""The kernels' source as one text, for compilers that read no files."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

SOURCE = Path(__file__).with_name("cuckoo_mean.cu")
#: Includes of the targets that no GPU's compiler is.
HOST_ONLY = frozenset({"host.hpp", "bare_hip.h"})
INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)


@functools.cache
def kernel_source() -> str:
    """CUDA or HIP, with its own headers put in place."""
    return _inline(SOURCE, set())


@functools.cache
def source_hash() -> str:
    return hashlib.blake2b(kernel_source().encode(), digest_size=8).hexdigest()


def _inline(path: Path, seen: set[Path]) -> str:
    def put_in_place(match: re.Match[str]) -> str:
        header = (path.parent / match[1]).resolve()
        if header in seen or header.name in HOST_ONLY:
            return ""
        seen.add(header)
        return _inline(header, seen)

    return INCLUDE.sub(put_in_place, path.read_text("utf-8")).replace("#pragma once\n", "")
