"""How amdgpu answers writes to its files, below a tree of files: what a plain file does not do.

As documented in the kernel's "GPU Power/Thermal Controls and Monitoring" and its hwmon interface.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PLAIN_WRITE = Path.write_text


class AmdgpuKernel:
    """Stands behind every write below ``root`` from `install` on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refuses = False
        self.staged: dict[Path, str] = {}
        self.allowed: dict[Path, str] = {}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kernel = self

        def write(path: Path, text: str) -> int:
            if path.is_relative_to(kernel.root):
                kernel.take(path, text.strip())
                return len(text)
            return PLAIN_WRITE(path, text)

        monkeypatch.setattr(Path, "write_text", write)

    def take(self, path: Path, text: str) -> None:
        if self.refuses:
            raise PermissionError(13, "Permission denied")
        if path.name == "fan_minimum_pwm":
            self._set_fan_floor(path, text)
        elif path.name.startswith("pp_dpm_"):
            self._allow_levels(path, text)
        elif path.name == "pwm1" and (path.parent / "pwm1_enable").read_text().strip() != "1":
            raise OSError(22, "Invalid argument")
        else:
            PLAIN_WRITE(path, f"{text}\n")

    def _allow_levels(self, path: Path, text: str) -> None:
        """The present level moves to the highest one that is allowed."""
        if (path.parent / "power_dpm_force_performance_level").read_text().strip() != "manual":
            raise OSError(22, "Invalid argument")
        self.allowed[path] = text
        highest = max(map(int, text.split()))
        lines = [line.replace(" *", "") for line in path.read_text().splitlines()]
        lines[highest] += " *"
        PLAIN_WRITE(path, "\n".join(lines) + "\n")

    def _set_fan_floor(self, path: Path, text: str) -> None:
        """A value is staged, and takes effect by "c"; "r" puts the default back."""
        if text == "r":
            self.staged[path] = "15"
        elif text != "c":
            self.staged[path] = text
            return
        pattern = r"(FAN_MINIMUM_PWM:\s*)\d+"
        PLAIN_WRITE(path, re.sub(pattern, rf"\g<1>{self.staged[path]}", path.read_text()))
