"""SHA-256 sticks: frames held to public ones, and sessions with chips behind a real terminal."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
from bm1384 import plugged_chips

from drivers.base import Capability, HealthStatus
from drivers.errors import BadArgument, DeadlineExceeded, DeviceLost, NotSupported, WrongAnswer
from drivers.selftest import GENESIS_JOB, GENESIS_NONCE, check, prove
from drivers.usbstick import bm13xx
from drivers.usbstick.driver import PORTS_VARIABLE, Driver
from drivers.usbstick.hashing import StickHashes
from drivers.usbstick.sha256 import START, compress, find_midstate, words_of
from drivers.usbstick.vitals import VitalsFile

NEAR = GENESIS_NONCE - 1000


def test_sha256_is_hashlib_s() -> None:
    message = bytes(range(64))
    state = compress(START, words_of(message))
    state = compress(state, words_of(b"\x80" + bytes(55) + (512).to_bytes(8, "big")))
    digest = b"".join(int(word[0]).to_bytes(4, "big") for word in state)
    assert digest == hashlib.sha256(message).digest()
    assert find_midstate(GENESIS_JOB.header).hex().startswith("bc909a33")


def test_the_known_work_of_the_icarus_protocol() -> None:
    """Bitcoin's block 171,874 as every Icarus miner is tried with it: laid out as ours are, it
    hashes to 43 zero bits with its nonce 0x000187a2."""
    known = bytes.fromhex(
        "4679ba4ec99876bf4bfe086082b400254df6c356451471139a3afa71e48f544a"
        "000000000000000000000000000000000000000087320b1a1426674f2fa722ce"
    )
    state = [words_of(known[28 - 4 * n : 32 - 4 * n]) for n in range(8)]
    tail = b"".join(known[60 - 4 * n : 64 - 4 * n] for n in range(3)) + b"\x00\x01\x87\xa2"
    state = compress(state, words_of(tail + b"\x80" + bytes(39) + (640).to_bytes(8, "big")))
    inner = b"".join(int(word[0]).to_bytes(4, "big") for word in state)
    assert int.from_bytes(hashlib.sha256(inner).digest(), "little") >> (256 - 43) == 0


def test_a_work_s_layout() -> None:
    header = bytes(range(80))
    work = bm13xx.write_work(header, 7, 2)
    assert work[52:64] == header[72:76] + header[68:72] + header[64:68]
    assert b"".join(work[28 - 4 * n : 32 - 4 * n] for n in range(8)) == find_midstate(header)
    assert (work[39], work[51]) == (0, 7)


def test_checksums_as_captured_from_chips() -> None:
    """The first of a BM1384, the others of a BM1397, whose checksum is the same."""
    assert bm13xx.write_command(0x84).hex() == "84000011"
    for frame in ("520500000a", "5305000003", "51090014000000001c"):
        content = bytes.fromhex(frame)
        assert bm13xx.find_crc5(content[:-1], 8 * len(content) - 8) == content[-1]


@pytest.mark.parametrize(
    ("megahertz", "word"), [(100, "0783"), (150, "0b83"), (200, "0782"), (300, "0b82")]
)
def test_clocks_as_miners_set_them(megahertz: int, word: str) -> None:
    assert bm13xx.write_clock(megahertz * 1e6)[1:3].hex() == word


def test_replies() -> None:
    assert bm13xx.read_reply(bytes.fromhex("1234567885")) == bm13xx.Nonce(b"\x12\x34\x56\x78", 5)
    assert bm13xx.read_reply(bytes(5)) is None


@pytest.fixture
def vitals(tmp_path: Path) -> VitalsFile:
    return VitalsFile("chips", tmp_path)


def test_the_known_answer(vitals: VitalsFile) -> None:
    with plugged_chips(NEAR, chips=2) as chip:
        session = StickHashes(chip.port, vitals)
        assert session.clock_hertz == 150e6
        assert session.scan_seconds == pytest.approx(0.26, abs=0.01)
        assert "first block" in check(session, Capability.HASH_SHA256D)
        assert chip.empty_works == bm13xx.CORES
        assert chip.addresses == [0, 128]
        session.close()


def test_only_what_was_asked_for_is_told(vitals: VitalsFile) -> None:
    with plugged_chips(NEAR) as chip:
        session = StickHashes(chip.port, vitals, clock_hertz=300e6)
        whole = session.scan(GENESIS_JOB, 0, 2**32, lambda: False)
        assert whole == (2**32, [GENESIS_NONCE])
        narrow = session.scan(GENESIS_JOB, 0, GENESIS_NONCE, lambda: False)
        assert narrow == (GENESIS_NONCE, [])
        harder = type(GENESIS_JOB)(GENESIS_JOB.header, GENESIS_JOB.target >> 32)
        assert session.scan(harder, 0, 2**32, lambda: False)[1] == []
        done, found = session.scan(GENESIS_JOB, 0, 2**32, lambda: True)
        assert done < 2**31 and found == []
        with pytest.raises(BadArgument, match="32 bits"):
            session.scan(GENESIS_JOB, 1, 2**32, lambda: False)
        session.close()


def test_a_wrong_nonce_is_refused(vitals: VitalsFile) -> None:
    with plugged_chips(way="wrong") as chip:
        session = StickHashes(chip.port, vitals)
        with pytest.raises(WrongAnswer, match="hash is not small"):
            session.scan(GENESIS_JOB, 0, 2**32, lambda: False)
        session.close()


def test_garbage_around_a_nonce_loses_nothing(vitals: VitalsFile) -> None:
    with plugged_chips(NEAR, way="garbage") as chip:
        session = StickHashes(chip.port, vitals)
        assert session.scan(GENESIS_JOB, 0, 2**32, lambda: False)[1] == [GENESIS_NONCE]
        told = vitals.read()
        assert told is not None and told.bad_frames > 2
        session.close()


def test_silence_ends_at_its_deadline(vitals: VitalsFile) -> None:
    with plugged_chips(way="silent") as chip:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="no BM1384"):
            StickHashes(chip.port, vitals)
        assert time.monotonic() - began < 5
    with plugged_chips() as chip:
        session = StickHashes(chip.port, vitals, clock_hertz=300e6)
        assert session.scan(GENESIS_JOB, 0, 2**32, lambda: False) == (2**32, [])
        chip.way = "silent"
        with pytest.raises(DeadlineExceeded, match="no BM1384"):
            session.scan(GENESIS_JOB, 0, 2**32, lambda: False)
        session.close()


def test_a_stick_that_finds_nothing_fails_its_known_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with plugged_chips(way="deaf") as chip:
        monkeypatch.setenv(PORTS_VARIABLE, f"bm1384={chip.port}")
        answer = prove("usbstick", "usbstick:0", Capability.HASH_SHA256D)
        assert not answer.passed and "was not found" in answer.detail


def test_unplugged_in_the_midst_of_a_scan(vitals: VitalsFile) -> None:
    with plugged_chips() as chip:
        session = StickHashes(chip.port, vitals)
        calls = iter([False, False])

        def unplug() -> bool:
            if next(calls, None) is None:
                chip.unplug()
            return False

        with pytest.raises(DeviceLost, match="gone"):
            session.scan(GENESIS_JOB, 0, 2**32, unplug)
        session.close()


def test_it_proves_itself_in_a_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with plugged_chips(NEAR) as chip:
        monkeypatch.setenv(PORTS_VARIABLE, f"bm1384={chip.port}")
        driver = Driver(tmp_path)
        (device,) = driver.discover()
        assert device.info.capabilities == {Capability.HASH_SHA256D}
        assert device.info.details["chips"] == "1 × BM1384"
        assert device.health().status is HealthStatus.OK
        answer = prove("usbstick", "usbstick:0", Capability.HASH_SHA256D)
        assert answer.passed, answer.detail
        telemetry = device.snapshot()
        assert telemetry.values["clock_hertz"] == 150e6
        assert "tells no temperature" in telemetry.missing["temperature_celsius"]
        with pytest.raises(BadArgument, match="100 to 300 MHz"):
            device.open(Capability.HASH_SHA256D, clock_hertz=1e9)
        with pytest.raises(NotSupported):
            device.open(Capability.INFER)
