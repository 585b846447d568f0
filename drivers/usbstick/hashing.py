"""What a SHA-256 stick does for the farm: whole nonce spaces of one header after another."""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.errors import BadArgument, DeadlineExceeded, WrongAnswer
from drivers.hashes import HashJob
from drivers.usbstick import bm13xx
from drivers.usbstick.bm13xx import Nonce
from drivers.usbstick.chain import Chain
from drivers.usbstick.vitals import VitalsFile
from drivers.usbstick.wire import Vitals

NONCES = 2**32
SLICE_SECONDS = 0.02
#: A chip's time for all nonces is its clock's; so much more is waited.
GRACE_SECONDS = 0.1


class StickHashes:
    """A `drivers.base.HashSession`. Chips go through all nonces of a header, in an order of their
    own, so a narrower range takes as long as the whole one."""

    def __init__(
        self, port: str, vitals: VitalsFile, clock_hertz: float = bm13xx.DEFAULT_HERTZ
    ) -> None:
        """Raises what `Chain` raises, and `BadArgument` for a clock that no BM1384 bears."""
        if not bm13xx.MINIMUM_HERTZ <= clock_hertz <= bm13xx.MAXIMUM_HERTZ:
            least, most = bm13xx.MINIMUM_HERTZ / 1e6, bm13xx.MAXIMUM_HERTZ / 1e6
            raise BadArgument(f"clock_hertz must be {least:g} to {most:g} MHz")
        self._chain, self._vitals = Chain(port), vitals
        self._began = time.monotonic()
        self._job = self._jobs = 0
        try:
            self._chain.wake(clock_hertz)
            self.clock_hertz = self._chain.read_clock()
        except BaseException:
            self._chain.close()
            raise
        self._tell()

    @property
    def scan_seconds(self) -> float:
        """What all nonces of one header take."""
        return NONCES / (self.clock_hertz * bm13xx.CORES * self._chain.chips)

    def scan(
        self,
        job: HashJob,
        first_nonce: int,
        nonces: int,
        should_stop: Callable[[], bool],
        found: Callable[[int], None] | None = None,
    ) -> tuple[int, list[int]]:
        """Raises `BadArgument`, `WrongAnswer` where a nonce's hash is not what the chips say, and
        `DeadlineExceeded` where they fall silent."""
        _check(job, first_nonce, nonces)
        self._begin(job)
        began, good, heard = time.monotonic(), list[int](), self._chain.replies
        deadline = began + self.scan_seconds + GRACE_SECONDS
        while not (stopped := should_stop()) and (now := time.monotonic()) < deadline:
            reply = self._chain.read(min(deadline, now + SLICE_SECONDS))
            nonce = self._check_nonce(job, reply) if isinstance(reply, Nonce) else None
            if nonce is None or nonce in good:
                continue
            if first_nonce <= nonce < first_nonce + nonces and job.meets(nonce):
                good.append(nonce)
                if found:
                    found(nonce)
        share = (time.monotonic() - began) / self.scan_seconds if stopped else 1.0
        if not stopped and self._chain.replies == heard:
            self._check_alive()
        self._tell()
        return int(nonces * min(1.0, share)), sorted(good)

    def close(self) -> None:
        self._chain.close()

    def _begin(self, job: HashJob) -> None:
        self._job = (self._job + 1) % bm13xx.JOB_NUMBERS
        self._jobs += 1
        self._chain.forget()
        self._chain.work(job.header, self._job)

    def _check_nonce(self, job: HashJob, reply: Nonce) -> int | None:
        """The nonce in the header's own form; None where it is of another job, or no reply."""
        if reply.job != self._job:
            before = (self._job - 1) % bm13xx.JOB_NUMBERS
            if reply.job not in (before, bm13xx.JOB_NUMBERS):
                self._chain.reject(reply)
            return None
        nonce = int.from_bytes(reply.value, "little")
        if job.hash(nonce) >> 224 == 0:
            self._chain.confirm()
            return nonce
        if self._chain.in_step:
            raise WrongAnswer(f"the stick tells nonce {nonce:#010x}, whose hash is not small")
        self._chain.reject(reply)
        return None

    def _check_alive(self) -> None:
        """No nonce in a whole scan is one case in e; a chip that is there still says so."""
        if self._chain.count_chips() < self._chain.chips:
            raise DeadlineExceeded(f"some of {self._chain.chips} chips no longer answer")

    def _tell(self) -> None:
        up = time.monotonic() - self._began
        chain = self._chain
        vitals = Vitals(
            up, None, None, chain.replies, chain.bad_frames, self._jobs, self.clock_hertz
        )
        self._vitals.write(vitals)


def read_vitals(port: str) -> Vitals:
    """Of a stick that no session holds."""
    chain = Chain(port)
    try:
        hertz = chain.read_clock()
        return Vitals(0.0, None, None, chain.replies, chain.bad_frames, 0, hertz)
    finally:
        chain.close()


def _check(job: HashJob, first_nonce: int, nonces: int) -> None:
    if len(job.header) != bm13xx.HEADER_BYTES:
        raise BadArgument(f"a header has {bm13xx.HEADER_BYTES} bytes, not {len(job.header)}")
    if first_nonce < 0 or nonces < 1 or first_nonce + nonces > NONCES:
        raise BadArgument(f"nonces {first_nonce} to {first_nonce + nonces} are not all of 32 bits")
