"""One session a board: whoever opens it holds a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from pathlib import Path

from drivers.errors import DeviceBusy


class Hold:
    """Held from the making until `release`, or the end of the process."""

    def __init__(self, hardware_id: str, folder: Path | None = None) -> None:
        """Raises `DeviceBusy` where another session has the board."""
        folder = folder or Path(tempfile.gettempdir()) / f"farmctl-boards-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', hardware_id)}.lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise DeviceBusy(f"{hardware_id} is held by another session") from None

    def release(self) -> None:
        """Safe to repeat."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
