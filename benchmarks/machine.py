"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
from typing import Any

from drivers.survey import Survey


def describe() -> dict[str, Any]:
    """Devices, load and versions; no name or address of the machine."""
    devices = [device.info for family in Survey().look() for device in family.devices]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1min": os.getloadavg()[0],
        "devices": [
            {"id": d.id, "model": d.model, "memory_bytes": d.memory_bytes, **d.details}
            for d in devices
        ],
    }
