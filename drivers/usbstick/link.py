"""Requests to a stick over its serial port: deadlines, repeats, and back in step after garbage."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

import serial

from drivers.errors import (
    BadArgument,
    DeadlineExceeded,
    DeviceBusy,
    DeviceLost,
    DriverError,
    OutOfMemory,
    PermissionDenied,
    WrongAnswer,
)
from drivers.usbstick.wire import (
    ERROR,
    MAX_FRAME_BYTES,
    REPLY,
    BadFrame,
    Hello,
    Message,
    Request,
    StickError,
    Vitals,
    decode,
    encode,
)

REPLY_SECONDS = 1.0
REPEATS = 3
#: Between two looks at the port while nothing comes.
IDLE_SECONDS = 0.0002
#: A line that never rests is not waited for.
FORGOTTEN_READS = 64
#: Noise between two frames that is still waited through.
MAX_NOISE_BYTES = 4 * MAX_FRAME_BYTES

_ERRORS: dict[StickError, type[DriverError]] = {
    StickError.TOO_LARGE: OutOfMemory,
    StickError.BAD_MODEL: BadArgument,
    StickError.BAD_GRAPH: BadArgument,
    StickError.BUSY: DeviceBusy,
    StickError.CANCELLED: DeadlineExceeded,
}


class Refused(DriverError):
    """The stick refuses a request in a way that has no better error."""


class SerialLine:
    """The bytes of one port, held alone."""

    def __init__(self, port: str, stop_bits: int = 1) -> None:
        """Raises `PermissionDenied`, `DeviceBusy` or `DeviceLost` where it cannot be opened."""
        self._name = port
        self._port = _open(port, stop_bits)

    def read(self) -> bytes:
        """What has come; empty after a moment in which nothing did. Raises `DeviceLost`."""
        try:
            waiting = self._port.in_waiting
            if waiting:
                return bytes(self._port.read(waiting))
            time.sleep(IDLE_SECONDS)
            return b""
        except (OSError, TypeError) as error:
            raise DeviceLost(f"{self._name} is gone: {error}") from None

    def write(self, content: bytes) -> None:
        """Raises `DeadlineExceeded` or `DeviceLost`."""
        try:
            self._port.write(content)
        except serial.SerialTimeoutException:
            raise DeadlineExceeded(f"{self._name} takes nothing in") from None
        except OSError as error:
            raise DeviceLost(f"{self._name} is gone: {error}") from None

    def forget(self) -> None:
        """Drop what has come."""
        for _ in range(FORGOTTEN_READS):
            if not self.read():
                return

    def close(self) -> None:
        self._port.close()


class StickLink:
    """One stick, held alone. Not for several threads."""

    def __init__(self, port: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `PermissionDenied`, `DeviceBusy` or `DeviceLost` where it cannot be opened."""
        self._name, self._clock = port, clock
        self._line = SerialLine(port)
        self._number = 0
        self._received = bytearray()
        self.bad_frames = 0

    def hello(self) -> Hello:
        return Hello.read(self.ask(Request.HELLO))

    def vitals(self) -> Vitals:
        return Vitals.read(self.ask(Request.TELEMETRY))

    def ask(self, request: Request, body: bytes = b"", seconds: float = REPLY_SECONDS) -> bytes:
        """The body of the reply. A request whose reply is lost or damaged is sent again: every
        one may be.

        Raises `DeadlineExceeded`, `DeviceLost`, or what the stick's refusal means.
        """
        asked: set[int] = set()
        for _ in range(REPEATS):
            self._number = (self._number + 1) % 2**16
            asked.add(self._number)
            self._line.write(b"\0" + encode(Message(request, self._number, body)))
            reply = self._await(request, asked, seconds)
            if reply is not None:
                return reply
        raise DeadlineExceeded(f"{self._name}: no answer to {request.name} in {seconds:g} s")

    def cancel(self) -> None:
        """End what the stick is at. Raises `DeviceLost`."""
        self._line.write(b"\0" + encode(Message(Request.CANCEL, 0, b"")))

    def close(self) -> None:
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _await(self, request: Request, asked: set[int], seconds: float) -> bytes | None:
        """The reply to one of the numbers asked; None where it did not come in time, or a
        damaged frame came that may have been it."""
        deadline = self._clock() + seconds
        while (frame := self._frame(deadline)) is not None:
            try:
                message = decode(frame)
            except BadFrame:
                self.bad_frames += 1
                return None
            if message.number not in asked:
                continue  # of a request that was given up
            if message.type == request | REPLY:
                return message.body
            if message.type == ERROR and not self._is_at_it(message, asked):
                raise _refusal(self._name, request, message.body)
        return None

    def _is_at_it(self, message: Message, asked: set[int]) -> bool:
        """Whether the stick still works the request that was sent before."""
        is_busy = message.body[:2] == StickError.BUSY.to_bytes(2, "little")
        return is_busy and len(asked) > 1

    def _frame(self, deadline: float) -> bytes | None:
        """The next bytes up to a zero; None at the deadline."""
        while True:
            end = self._received.find(0)
            if end > 0:
                frame = bytes(self._received[:end])
                del self._received[: end + 1]
                return frame
            if end == 0:
                del self._received[:1]
                continue
            if len(self._received) > MAX_NOISE_BYTES:
                raise WrongAnswer(f"{self._name} sends no frames; is its firmware farmctl's?")
            if self._clock() >= deadline:
                return None
            self._received += self._line.read()


def _open(port: str, stop_bits: int) -> serial.Serial:
    try:
        return serial.Serial(
            port, 115_200, stopbits=stop_bits, timeout=0, write_timeout=2.0, exclusive=True
        )
    except serial.SerialException as error:
        text = str(error)
        if "Permission denied" in text:
            reason = "may not be opened; add this user to the group that owns it"
            raise PermissionDenied(f"{port} {reason}") from None
        if "exclusively lock" in text or "busy" in text:
            raise DeviceBusy(f"{port} is held by another session") from None
        raise DeviceLost(f"{port} cannot be opened: {text}") from None


def _refusal(name: str, request: Request, body: bytes) -> DriverError:
    code = int.from_bytes(body[:2], "little")
    try:
        error = StickError(code)
    except ValueError:
        return Refused(f"{name} refuses {request.name} with code {code}")
    kind = _ERRORS.get(error, Refused)
    return kind(f"{name} refuses {request.name}: {error.name.lower().replace('_', ' ')}")
