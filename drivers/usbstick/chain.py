"""The chips of one SHA-256 stick on its serial line: found, set up, given work, heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from drivers.errors import DeadlineExceeded
from drivers.usbstick import bm13xx
from drivers.usbstick.bm13xx import Nonce, Register
from drivers.usbstick.link import SerialLine

REPLY_SECONDS = 1.0
#: The line is quiet when nothing came for so long; what is left then is no reply.
QUIET_SECONDS = 0.03
TWO_STOP_BITS = 2


class Chain:
    """Held alone. Not for several threads."""

    def __init__(self, port: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises what `SerialLine` raises, and `DeadlineExceeded` where no chip answers."""
        self._name, self._clock = port, clock
        self._line = SerialLine(port, TWO_STOP_BITS)
        self._received = bytearray()
        self.in_step = True
        """Whether replies surely begin where they are read."""
        self.replies = self.bad_frames = 0
        try:
            self.chips = self.count_chips()
        except BaseException:
            self.close()
            raise

    def count_chips(self) -> int:
        """Raises `DeadlineExceeded` where none answers."""
        self.forget()
        self._line.write(bm13xx.write_command(bm13xx.ALL | bm13xx.READ))
        count = sum(reply.is_chip for reply in self._registers())
        if not count:
            raise DeadlineExceeded(f"{self._name}: no BM1384 answers")
        return count

    def wake(self, hertz: float) -> None:
        """Give every chip its address and its clock, and wake its cores."""
        self._line.write(bm13xx.write_command(bm13xx.ALL | bm13xx.CHAIN_INACTIVE))
        for chip in range(self.chips):
            address = 256 // self.chips * chip
            self._line.write(bm13xx.write_command(bm13xx.SET_ADDRESS, address))
        self._line.write(bm13xx.write_clock(hertz))
        for _ in range(bm13xx.CORES):
            self._line.write(bm13xx.write_empty_work())

    def read_clock(self) -> float:
        """In hertz. Raises `DeadlineExceeded`."""
        self.forget()
        command = bm13xx.ALL | bm13xx.READ
        self._line.write(bm13xx.write_command(command, 0, bm13xx.CLOCK_REGISTER))
        told = [r.clock_hertz for r in self._registers() if r.clock_hertz is not None]
        if not told:
            raise DeadlineExceeded(f"{self._name}: no BM1384 tells its clock")
        return min(told)

    def work(self, header: bytes, job: int) -> None:
        self._line.write(bm13xx.write_work(header, job, self.chips))

    def read(self, deadline: float) -> Nonce | Register | None:
        """The next reply; None at the deadline. Bytes that are none are dropped."""
        heard = self._clock()
        while True:
            while len(self._received) >= bm13xx.REPLY_BYTES:
                if reply := self._take():
                    return reply
            now = self._clock()
            if self._received and now - heard > QUIET_SECONDS:
                self._drop_rest()
            if now >= deadline:
                return None
            if content := self._line.read():
                self._received += content
                heard = now

    def confirm(self) -> None:
        """The last nonce was one."""
        self.in_step = True

    def reject(self, nonce: Nonce) -> None:
        """The last nonce was none: look on from its second byte."""
        self._received[:0] = (nonce.value + bytes([bm13xx.IS_NONCE | nonce.job]))[1:]
        self.in_step = False
        self.bad_frames += 1

    def forget(self) -> None:
        """Drop what came before."""
        self._line.forget()
        self._received.clear()
        self.in_step = True

    def close(self) -> None:
        self._line.close()

    def _registers(self) -> Iterator[Register]:
        """The answers of all chips: until the line is quiet after one."""
        deadline = self._clock() + REPLY_SECONDS
        while reply := self.read(deadline):
            if isinstance(reply, Register):
                deadline = self._clock() + QUIET_SECONDS
                yield reply

    def _take(self) -> Nonce | Register | None:
        reply = bm13xx.read_reply(bytes(self._received[: bm13xx.REPLY_BYTES]))
        if reply is None:
            del self._received[0]
            self.in_step = False
            self.bad_frames += 1
            return None
        del self._received[: bm13xx.REPLY_BYTES]
        self.in_step |= isinstance(reply, Register)
        self.replies += 1
        return reply

    def _drop_rest(self) -> None:
        self.bad_frames += 1
        self._received.clear()
        self.in_step = True
