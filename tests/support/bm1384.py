"""A stick with BM1384 chips behind a real terminal: it speaks their serial protocol and really
hashes, so slowly that its counter is given where to begin."""

from __future__ import annotations

import os
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from drivers.usbstick import bm13xx
from drivers.usbstick.sha256 import START, compress, words_of

WINDOW = 4096
COMMAND_BYTES = 4
POLL_SECONDS = 0.02


class Chip:
    """``way``: ``honest``, ``wrong`` (nonces that are none), ``silent``, ``garbage`` (noise around
    every reply), ``deaf`` (works are not worked, commands answered)."""

    def __init__(self, first_nonce: int, chips: int, way: str) -> None:
        self.first_nonce, self.chips, self.way = first_nonce, chips, way
        self.empty_works = 0
        self.addresses: list[int] = []
        self._clock = bytes(2)
        self._controller, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        self.port = os.ttyname(self._terminal)
        self._is_plugged = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        if not self._is_plugged:
            return
        self._is_plugged = False
        self._thread.join()
        os.close(self._controller)
        os.close(self._terminal)

    def _serve(self) -> None:
        heard = bytearray()
        while self._is_plugged:
            if select.select([self._controller], [], [], POLL_SECONDS)[0]:
                heard += os.read(self._controller, 4096)
                self._take(heard)

    def _take(self, heard: bytearray) -> None:
        """A command is told from a work by its first byte and its checksum."""
        while len(heard) >= COMMAND_BYTES:
            command = bytes(heard[:COMMAND_BYTES])
            if command == bm13xx.write_command(*command[:3]) and any(command):
                del heard[:COMMAND_BYTES]
                self._obey(command)
            elif len(heard) >= bm13xx.WORK_BYTES:
                work = bytes(heard[: bm13xx.WORK_BYTES])
                del heard[: bm13xx.WORK_BYTES]
                self._work(work)
            else:
                return

    def _obey(self, command: bytes) -> None:
        what = command[0] & 0x7F
        if what == bm13xx.SET_CLOCK:
            self._clock = command[1:3]
        elif what == bm13xx.SET_ADDRESS:
            self.addresses.append(command[1])
        elif what == bm13xx.READ:
            word = int.from_bytes(self._clock, "big")
            clock = bytes([bm13xx.CLOCK_REPLY, word >> 7, 0, word & 3])
            is_clock = command[2] == bm13xx.CLOCK_REGISTER
            for _ in range(self.chips):
                content = clock if is_clock else bm13xx.CHIP_ID + b"\x37\x00"
                self._say(content + bytes([bm13xx.find_crc5(content + b"\0", 35)]))

    def _work(self, work: bytes) -> None:
        job = work[51]
        if not any(work[:32]):
            self.empty_works += 1
        elif self.way == "wrong":
            self._say(b"\x12\x34\x56\x78" + bytes([bm13xx.IS_NONCE | job]))
        elif self.way != "deaf":
            for nonce in self._find(work):
                self._say(nonce + bytes([bm13xx.IS_NONCE | job]))

    def _find(self, work: bytes) -> list[bytes]:
        state = [words_of(work[28 - 4 * n : 32 - 4 * n]) for n in range(8)]
        tail = [words_of(work[60 - 4 * n : 64 - 4 * n]) for n in range(3)]
        nonces = np.arange(self.first_nonce, self.first_nonce + WINDOW).astype(np.uint32)
        ending = words_of(b"\x80" + bytes(39) + (640).to_bytes(8, "big"))
        inner = compress(state, [*tail, nonces.byteswap(), *ending])
        ending = words_of(b"\x80" + bytes(23) + (256).to_bytes(8, "big"))
        outer = compress(START, [*inner, *ending])
        return [int(n).to_bytes(4, "little") for n in nonces[outer[7] == 0]]

    def _say(self, reply: bytes) -> None:
        if self.way == "silent":
            return
        if self.way == "garbage" and reply[4] & bm13xx.IS_NONCE:
            reply = b"\x55\x66\x77" + reply + b"\x01\x02"
        os.write(self._controller, reply)


@contextmanager
def plugged_chips(first_nonce: int = 0, chips: int = 1, way: str = "honest") -> Iterator[Chip]:
    chip = Chip(first_nonce, chips, way)
    try:
        yield chip
    finally:
        chip.unplug()
