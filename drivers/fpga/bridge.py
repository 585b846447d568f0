"""Run by the Python of PYNQ's own environment: one board's registers and memory, for the session
that started it. Knows nothing of the design but the name by which an overlay lists it.

Usage: ``bridge.py SOCKET LIFELINE``, two inherited descriptors. Requests are JSON, one message
each, followed by a message of bytes where they store some; answers likewise.

When the owner is gone, however it ended, the core finishes what it was at and the board's memory
is given back, so that nothing is written to memory that has another owner. A call that hangs
gets `GRACE_SECONDS` for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pynq

IP_NAME = "farmcore"
REGISTER_BYTES = 64
POLL_SECONDS = 0.0002
GRACE_SECONDS = 2.0
REQUESTS = frozenset({"open", "read", "write", "wait", "allocate", "store", "fetch", "free"})

Answer = dict[str, Any]


class Board:
    """One open board; most methods are a request each."""

    def __init__(self) -> None:
        self._registers: Any = None
        self._buffers: dict[int, Any] = {}
        self._next_buffer = 0

    def open(self, index: int, bitstream: str, address: int) -> Answer:
        """Load the overlay, or take the design as it is where no bitstream is given."""
        device = pynq.Device.devices[index]
        pynq.Device.active_device = device
        if bitstream:
            self._overlay = pynq.Overlay(bitstream, device=device)
            address = self._find_core(self._overlay.ip_dict)
        self._registers = pynq.MMIO(address, REGISTER_BYTES, device=device)
        return {}

    def read(self, offset: int) -> Answer:
        return {"value": int(self._registers.read(offset))}

    def write(self, offset: int, value: int) -> Answer:
        self._registers.write(offset, value)
        return {}

    def wait(self, offset: int, mask: int, seconds: float) -> Answer:
        """Read until a bit of the mask is set or the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            value = int(self._registers.read(offset))
            if value & mask or time.monotonic() >= deadline:
                return {"value": value}
            time.sleep(POLL_SECONDS)

    def allocate(self, size: int) -> Answer:
        buffer = pynq.allocate((size,), dtype=np.uint8)
        self._next_buffer += 1
        self._buffers[self._next_buffer] = buffer
        return {"buffer": self._next_buffer, "address": int(buffer.physical_address)}

    def store(self, buffer: int, content: bytes) -> Answer:
        to = self._buffers[buffer]
        to[:] = np.frombuffer(content, dtype=np.uint8)
        to.flush()
        return {}

    def fetch(self, buffer: int) -> Answer:
        taken = self._buffers[buffer]
        taken.invalidate()
        return {"content": taken.tobytes()}

    def free(self, buffer: int) -> Answer:
        self._buffers.pop(buffer).freebuffer()
        return {}

    def free_all(self) -> None:
        for buffer in list(self._buffers):
            self.free(buffer)

    @staticmethod
    def _find_core(found: Any) -> int:
        for name, entry in found.items():
            if IP_NAME in name or IP_NAME in str(entry.get("type", "")):
                return int(entry["phys_addr"])
        raise LookupError(f"the overlay has no {IP_NAME}; it has {', '.join(found)}")


def serve(channel: Connection) -> None:
    board = Board()
    while True:
        try:
            request = json.loads(channel.recv_bytes())
            name = request.pop("request")
            if name == "store":
                request["content"] = channel.recv_bytes()
        except (EOFError, OSError):
            board.free_all()
            return
        try:
            if name not in REQUESTS:
                raise LookupError(f"no request {name}")
            answer = getattr(board, name)(**request)
        except Exception as error:  # noqa: BLE001 - top of the loop: the owner decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        content = answer.pop("content", None)
        with contextlib.suppress(OSError):  # The owner is gone: the next request says so.
            channel.send_bytes(json.dumps(answer).encode())
            if content is not None:
                channel.send_bytes(content)


def end_with_owner(lifeline: int) -> None:
    """End the process some time after the pipe's last writer is gone."""
    os.read(lifeline, 1)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_owner, args=(int(sys.argv[2]),), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    serve(Connection(int(sys.argv[1])))
