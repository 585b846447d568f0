"""What a stick does for the farm: whole small models, and checking proofs of work."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from collections.abc import Sequence

import numpy as np

from drivers.base import CuckooJob
from drivers.errors import BadArgument, DeadlineExceeded, NotSupported, WrongAnswer
from drivers.host_program import HostProgram
from drivers.kernels.jobs import keys_of_job
from drivers.program import Program
from drivers.usbstick.image import Image, build_image, check_fits, check_input
from drivers.usbstick.link import StickLink
from drivers.usbstick.vitals import VitalsFile
from drivers.usbstick.wire import Hello, Request, StickCapability

#: A model's run is given up after so long.
RUN_SECONDS = 30.0
#: Room that a frame's header, place and checksum take.
FRAME_OVERHEAD_BYTES = 16
VITALS_SECONDS = 1.0
CHECK_MEMORY_BYTES = 256 << 20


class StickSession:
    """Holds the port, and leaves the stick's readings for those who may not."""

    def __init__(self, port: str, vitals: VitalsFile) -> None:
        """Raises what `StickLink` raises, and `DeadlineExceeded` where no firmware of ours
        answers."""
        self._link = StickLink(port)
        self._vitals = vitals
        self._told = 0.0
        try:
            self.hello: Hello = self._link.hello()
        except BaseException:
            self._link.close()
            raise
        self._tell()

    def require(self, capability: StickCapability) -> None:
        if capability not in self.hello.capabilities:
            raise NotSupported(f"this stick's firmware does not offer {capability.name}")

    def ask(self, request: Request, body: bytes = b"", seconds: float = 1.0) -> bytes:
        reply = self._link.ask(request, body, seconds)
        if time.monotonic() - self._told >= VITALS_SECONDS:
            self._tell()
        return reply

    def cancel(self) -> None:
        self._link.cancel()

    def close(self) -> None:
        self._link.close()

    def _tell(self) -> None:
        self._told = time.monotonic()
        self._vitals.write(self._link.vitals())


class StickRuns:
    """A `drivers.base.InferSession`. A stick holds one model at a time; another is sent when it
    is wanted. Every ``check_ratio``-th answer, in the mean, is computed here again."""

    def __init__(
        self, session: StickSession, check_ratio: float = 0.05, run_seconds: float = RUN_SECONDS
    ) -> None:
        session.require(StickCapability.INFER)
        if not 0 <= check_ratio <= 1:
            raise BadArgument(f"check_ratio must be 0 to 1, not {check_ratio}")
        self._session = session
        self._check_ratio, self._run_seconds = check_ratio, run_seconds
        self._owed = 1.0  # the first answer is checked
        self._models: dict[str, tuple[Image, HostProgram]] = {}

    def load(self, model_id: str, program: Program) -> None:
        """Raises `NotSupported` for what a stick does not compute, `OutOfMemory` for what it
        cannot hold."""
        if model_id in self._models:
            return
        image = build_image(program)
        check_fits(image, self._session.hello.image_bytes, self._session.hello.arena_words)
        self._send(image)
        self._models[model_id] = image, HostProgram(program, CHECK_MEMORY_BYTES)

    def unload(self, model_id: str) -> None:
        if found := self._models.pop(model_id, None):
            found[1].close()

    def run(self, model_id: str, data: bytes) -> bytes:
        """Raises `BadArgument`, and `WrongAnswer` where the stick has computed wrongly."""
        if model_id not in self._models:
            raise BadArgument(f"model {model_id} is not loaded")
        image, host = self._models[model_id]
        check_input(image, data)
        self._send(image)
        answer = self._compute(image, data)
        self._owed += self._check_ratio
        if self._owed >= 1:
            self._owed -= 1
            if host.run(data) != answer:
                raise WrongAnswer("the stick's answer differs from the reference")
        return answer

    def close(self) -> None:
        for model_id in list(self._models):
            self.unload(model_id)
        self._session.close()

    def _send(self, image: Image) -> None:
        """Make the stick hold the model; nothing is sent where it does. A stick that was
        interrupted goes on where it was."""
        identity = hashlib.sha256(image.content).digest()
        size, checksum = len(image.content), zlib.crc32(image.content)
        body = identity + struct.pack("<II", size, checksum)
        offset = _word(self._session.ask(Request.MODEL_BEGIN, body))
        step = self._session.hello.frame_bytes - FRAME_OVERHEAD_BYTES
        while offset < size:
            part = struct.pack("<I", offset) + image.content[offset : offset + step]
            moved = _word(self._session.ask(Request.MODEL_DATA, part))
            if not offset < moved <= size:
                raise WrongAnswer(f"the stick counts {moved} bytes of a model after {offset}")
            offset = moved
        words = _word(self._session.ask(Request.MODEL_END))
        if words != image.output_words:
            raise WrongAnswer(f"the stick expects {words} numbers from the model")

    def _compute(self, image: Image, data: bytes) -> bytes:
        step = (self._session.hello.frame_bytes - FRAME_OVERHEAD_BYTES) // 4
        for first in range(0, image.input_words, step):
            part = data[4 * first : 4 * (first + step)]
            self._session.ask(Request.INPUT_DATA, struct.pack("<I", first) + part)
        self._run(image, data)
        answer = bytearray()
        for first in range(0, image.output_words, step):
            count = min(step, image.output_words - first)
            part = self._session.ask(Request.OUTPUT_READ, struct.pack("<II", first, count))
            if len(part) != 4 * count:
                raise WrongAnswer(f"{len(part)} bytes for {count} numbers")
            answer += part
        return bytes(answer)

    def _run(self, image: Image, data: bytes) -> None:
        try:
            self._session.ask(Request.RUN, seconds=self._run_seconds)
        except DeadlineExceeded:
            self._session.cancel()
            raise


class StickVerifier:
    """Checks proofs of work: a `drivers.base.VerifySession`."""

    def __init__(self, session: StickSession) -> None:
        session.require(StickCapability.VERIFY_CUCKOO)
        self._session = session

    def verify(self, job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool:
        """Raises `BadArgument` for a bad job."""
        keys = keys_of_job(job, nonce)
        if len(edges) != job.proof_size or any(not 0 <= edge < 2**32 for edge in edges):
            return False
        numbers = (job.cycle.pair, job.edge_bits, *job.rounds, job.proof_size)
        body = struct.pack("<4Q5B3x", *keys, *numbers)
        body += np.array(edges, "<u4").tobytes()
        return _word(self._session.ask(Request.CUCKOO_VERIFY, body, 5.0)) == 1

    def close(self) -> None:
        self._session.close()


def _word(body: bytes) -> int:
    if len(body) != 4:
        raise WrongAnswer(f"an answer of {len(body)} bytes where 4 were due")
    return int.from_bytes(body, "little")
