"""Read by every Python of the farm under test as it starts: gives it a GPU's kernels that run on
the processor, and another tree of files for amdgpu. The families themselves are the real ones."""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPLACED = {
    "drivers.kernels.gpu.session": HERE / "gpu_session.py",
    "drivers.rocm.driver": HERE / "rocm_driver.py",
}


class Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name not in REPLACED:
            return None
        return importlib.util.spec_from_file_location(name, REPLACED[name])


sys.meta_path.insert(0, Finder())
