"""The real family ``rocm``, over the tree of files that FARM_OF_ALL names."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import drivers.rocm

NAME = "drivers.rocm.real_driver"
_spec = importlib.util.spec_from_file_location(NAME, Path(drivers.rocm.__path__[0]) / "driver.py")
assert _spec is not None and _spec.loader is not None
real = importlib.util.module_from_spec(_spec)
sys.modules[NAME] = real
_spec.loader.exec_module(real)


class Driver(real.Driver):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__(Path(os.environ["FARM_OF_ALL"]) / "amd")
