"""Frames and messages of the stick's protocol (docs/usb-stick-protocol.md): COBS, CRC-32, and a
header of version, type and request number. Little-endian throughout."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Self

from cobs import cobs

from drivers.errors import DriverError

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 64 * 1024
_HEADER = struct.Struct("<BBH")
_CHECKSUM = struct.Struct("<I")


class Request(IntEnum):
    HELLO = 0x01
    TELEMETRY = 0x02
    MODEL_BEGIN = 0x10
    MODEL_DATA = 0x11
    MODEL_END = 0x12
    MODEL_DROP = 0x13
    INPUT_DATA = 0x20
    RUN = 0x21
    OUTPUT_READ = 0x22
    CUCKOO_VERIFY = 0x30
    CANCEL = 0x7F


REPLY, ERROR = 0x80, 0xFF


class StickError(IntEnum):
    """Why a stick refuses a request."""

    UNKNOWN_TYPE = 1
    BAD_VERSION = 2
    BAD_LENGTH = 3
    BAD_ORDER = 4
    TOO_LARGE = 5
    BAD_CHECKSUM = 6
    BAD_MODEL = 7
    NO_MODEL = 8
    BAD_GRAPH = 9
    CANCELLED = 10
    BUSY = 11


class StickCapability(IntFlag):
    INFER = 1
    VERIFY_CUCKOO = 2


class BadFrame(DriverError):
    """Bytes that are no sound frame."""


@dataclass(frozen=True)
class Message:
    type: int
    number: int
    """Of the request, modulo 2^16; its reply has the same."""
    body: bytes


def encode(message: Message) -> bytes:
    """A frame, its closing zero included."""
    payload = _HEADER.pack(PROTOCOL_VERSION, message.type, message.number) + message.body
    return bytes(cobs.encode(payload + _CHECKSUM.pack(zlib.crc32(payload)))) + b"\0"


def decode(frame: bytes) -> Message:
    """Of a frame without its closing zero. Raises `BadFrame`."""
    try:
        whole = cobs.decode(frame)
    except cobs.DecodeError as error:
        raise BadFrame(f"no COBS frame: {error}") from None
    payload, checksum = whole[:-4], whole[-4:]
    if len(payload) < _HEADER.size:
        raise BadFrame(f"a frame of {len(whole)} bytes is too short")
    if checksum != _CHECKSUM.pack(zlib.crc32(payload)):
        raise BadFrame("the frame's checksum is wrong")
    version, kind, number = _HEADER.unpack_from(payload)
    if version != PROTOCOL_VERSION:
        raise BadFrame(f"the stick speaks version {version}, not {PROTOCOL_VERSION}; renew one")
    return Message(kind, number, payload[_HEADER.size :])


@dataclass(frozen=True)
class Hello:
    """What a stick is and holds."""

    capabilities: StickCapability
    firmware: str
    frame_bytes: int
    image_bytes: int
    """Largest model it takes."""
    arena_words: int
    """Numbers that its layers may hold at a time."""
    serial: str
    model_id: bytes
    """Of the model that is loaded; zeros if none is."""

    LAYOUT = struct.Struct("<BBBxIII8s32s")

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Raises `BadFrame`."""
        if len(body) != cls.LAYOUT.size:
            raise BadFrame(f"a hello of {len(body)} bytes, not {cls.LAYOUT.size}")
        flags, major, minor, frame, image, arena, serial, model = cls.LAYOUT.unpack(body)
        if not 64 <= frame <= MAX_FRAME_BYTES:
            raise BadFrame(f"the stick offers frames of {frame} bytes")
        text = serial.decode("ascii", "replace").rstrip("\0")
        known = StickCapability(flags & (StickCapability.INFER | StickCapability.VERIFY_CUCKOO))
        return cls(known, f"{major}.{minor}", frame, image, arena, text, model)


@dataclass(frozen=True)
class Vitals:
    """A stick's own readings; None where it has no sensor."""

    uptime_seconds: float
    celsius: float | None
    volts: float | None
    frames: int
    bad_frames: int
    runs: int
    clock_hertz: float | None = None
    """Of a SHA-256 stick; one with our firmware tells none."""

    LAYOUT = struct.Struct("<IhHIII")

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Raises `BadFrame`."""
        if len(body) != cls.LAYOUT.size:
            raise BadFrame(f"telemetry of {len(body)} bytes, not {cls.LAYOUT.size}")
        up, centidegrees, millivolts, frames, bad, runs = cls.LAYOUT.unpack(body)
        celsius = None if centidegrees == 0x7FFF else centidegrees / 100
        volts = None if millivolts == 0xFFFF else millivolts / 1e3
        return cls(up / 1e3, celsius, volts, frames, bad, runs)
