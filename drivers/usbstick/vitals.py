"""A stick's readings, left by the session that holds its port for the process that shows them."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from drivers.usbstick.wire import Vitals

#: Older ones are of a session that is gone.
FRESH_SECONDS = 5.0


class VitalsFile:
    def __init__(self, hardware_id: str, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"farmctl-sticks-{os.getuid()}"
        self._path = self._folder / f"{hardware_id}.json"

    def write(self, vitals: Vitals) -> None:
        """Best effort: a full disk must not end a session."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if self._folder.stat().st_uid != os.getuid():
                return
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(asdict(vitals)))
            part.replace(self._path)
        except OSError:
            return

    def read(self) -> Vitals | None:
        """None where no session has told anything of late."""
        try:
            if time.time() - self._path.stat().st_mtime > FRESH_SECONDS:
                return None
            return Vitals(**json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
