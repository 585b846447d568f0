"""What a BM1384 hears and says on its serial line (115,200 baud, 8 bits, two bits of guard).

Sources, all public: the layout of a work of 64 bytes and the value of a nonce are those of the
Icarus protocol, whose known work (Bitcoin's block 171,874) the tests hold this file to; commands,
registers and CRC-5 as GekkoScience's and later open miners use them (cgminer's documentation, the
BM1397 notes of the Bitaxe project, the BM1385 data sheet). No data sheet of the BM1384 tells of the
field that is marked below.

A command is four bytes: what (0x80 added: to every chip), the chip's address, a register or value,
and a CRC-5 of the 27 bits before it. A reply is five bytes: four of a register and a CRC-5 of the
35 bits before it; or four of a nonce and 0x80 with the number of its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.usbstick.sha256 import find_midstate

REPLY_BYTES = 5
HEADER_BYTES = 80
WORK_BYTES = 64
#: Jobs have the numbers 0 to 30; 31 is that of empty works.
JOB_NUMBERS = 31
CORES = 55
CRYSTAL_HERTZ = 25e6
MINIMUM_HERTZ, DEFAULT_HERTZ, MAXIMUM_HERTZ = 100e6, 150e6, 300e6

ALL = 0x80
SET_ADDRESS, SET_CLOCK, READ, CHAIN_INACTIVE = 0x01, 0x02, 0x04, 0x05
CHIP_REGISTER, CLOCK_REGISTER = 0x00, 0x04
CHIP_ID = b"\x13\x84"
CLOCK_REPLY = 0x80
IS_NONCE = 0x80


def find_crc5(content: bytes, bits: int) -> int:
    """Polynomial x⁵ + x² + 1 from all ones, highest bit first, of the first ``bits``."""
    crc = 0x1F
    for place in range(bits):
        bit = content[place // 8] >> (7 - place % 8) & 1
        crc = crc << 1 & 0x1F ^ (0x05 if crc >> 4 ^ bit else 0)
    return crc


def write_command(what: int, address: int = 0, value: int = 0) -> bytes:
    body = bytes([what, address, value])
    return body + bytes([find_crc5(body + b"\0", 27)])


def write_work(header: bytes, job: int, chips: int) -> bytes:
    """A work of ``header`` (80 bytes; its nonce counts for nothing): the midstate's words and the
    header's three last words before the nonce, last word first."""
    work = bytearray(WORK_BYTES)
    midstate = find_midstate(header)
    for word in range(8):
        work[4 * word : 4 * word + 4] = midstate[28 - 4 * word : 32 - 4 * word]
    # Byte 39: difficulty 1 less one; every nonce whose hash ends in 32 zero bits is told.
    # Bytes 40 to 43, how many nonces a chip counts, are as other miners set them: unverified.
    work[40:44] = (0xFFFFFFFF // chips).to_bytes(4, "big")
    work[51] = job
    for word in range(3):
        work[52 + 4 * word : 56 + 4 * word] = header[72 - 4 * word : 76 - 4 * word]
    return bytes(work)


def write_empty_work() -> bytes:
    """One wakes one core of a chip."""
    work = bytearray(WORK_BYTES)
    work[51] = JOB_NUMBERS
    return bytes(work)


@dataclass(frozen=True)
class Nonce:
    value: bytes
    """As it stands in the header's last four bytes."""
    job: int


@dataclass(frozen=True)
class Register:
    content: bytes

    @property
    def is_chip(self) -> bool:
        return self.content[:2] == CHIP_ID

    @property
    def clock_hertz(self) -> float | None:
        """None: it is not the clock's register."""
        if self.content[0] != CLOCK_REPLY:
            return None
        reference, post = (self.content[2] & 0x0F) + 1, self.content[3] & 3
        return CRYSTAL_HERTZ * (self.content[1] + 1) / reference / _POST_DIVIDERS.get(post, 4)


def read_reply(content: bytes) -> Nonce | Register | None:
    """Of five bytes; None where they are no reply."""
    last = content[4]
    if last & 0xE0 == IS_NONCE:
        return Nonce(content[:4], last & 0x1F)
    if last < IS_NONCE and last == find_crc5(content, 35):
        return Register(content[:4])
    return None


#: A clock is the crystal's × (feedback + 1) ÷ (reference + 1) ÷ the post divider.
_POST_DIVIDERS = {1: 1, 2: 2, 3: 4}


def write_clock(hertz: float) -> bytes:
    """Set every chip's clock, in steps of 6.25 MHz (12.5 MHz from 200 MHz on). The PLL's divider
    before the last stays 1; its oscillator at 400 to 800 MHz."""
    post = 3 if hertz < 200e6 else 2
    feedback = round(hertz * _POST_DIVIDERS[post] / CRYSTAL_HERTZ) - 1
    word = feedback << 7 | post
    return write_command(ALL | SET_CLOCK, word >> 8, word & 0xFF)
