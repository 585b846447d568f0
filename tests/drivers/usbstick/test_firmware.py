"""The reference firmware, spoken to by the driver over a real terminal."""

from __future__ import annotations

import os
import random
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
from cvm_models import random_model
from numpy.random import Generator
from sticks import Plugged, firmware, plugged

from drivers.base import Capability, HealthStatus
from drivers.errors import (
    BadArgument,
    DeadlineExceeded,
    DeviceBusy,
    DeviceLost,
    DriverError,
    NotSupported,
    OutOfMemory,
    WrongAnswer,
)
from drivers.kernels.graphs import VARIANTS
from drivers.program import Program
from drivers.selftest import CUCKOO_ANSWER, CUCKOO_JOB, check, infer_program, prove, spread
from drivers.usbstick import session as stick_session
from drivers.usbstick.driver import PORTS_VARIABLE, Driver
from drivers.usbstick.image import build_image
from drivers.usbstick.link import StickLink
from drivers.usbstick.session import StickRuns, StickSession, StickVerifier
from drivers.usbstick.vitals import VitalsFile
from drivers.usbstick.wire import Message, Request, decode, encode
from node.lowering import lower
from node.spec.cvm import load, run
from node.spec.cvm.graph import Graph
from node.spec.cvm.writer import Entry, ModelWriter

__all__ = ["firmware"]


@pytest.fixture
def stick(firmware: Path) -> Iterator[Plugged]:
    with plugged(firmware, centidegrees=4150, millivolts=4980) as stick:
        yield stick


@pytest.fixture
def session(stick: Plugged, tmp_path: Path) -> Iterator[StickSession]:
    session = StickSession(stick.port, VitalsFile("test", tmp_path))
    yield session
    session.close()


def test_it_tells_what_it_is(stick: Plugged) -> None:
    with StickLink(stick.port) as link:
        hello = link.hello()
        assert hello.serial == "TEST0001"
        assert hello.firmware == "1.0"
        assert hello.image_bytes == 98_304
        vitals = link.vitals()
        assert (vitals.celsius, vitals.volts) == (41.5, 4.98)


def test_the_known_answers(session: StickSession) -> None:
    assert "to the bit" in check(StickRuns(session), Capability.INFER)
    assert "main network" in check(StickVerifier(session), Capability.VERIFY_CUCKOO)


def test_proofs_of_other_graphs(session: StickSession) -> None:
    verifier = StickVerifier(session)
    job, proof = CUCKOO_JOB, CUCKOO_ANSWER
    assert verifier.verify(job, proof.nonce, proof.edges)
    assert not verifier.verify(job, proof.nonce, proof.edges[::-1])
    assert not verifier.verify(job, proof.nonce, (*proof.edges[:-1], proof.edges[-1] + 1))
    assert not verifier.verify(job, proof.nonce, proof.edges[:-1])
    with pytest.raises(BadArgument):
        verifier.verify(type(job)(job.header[:-1], 16), proof.nonce, proof.edges)
    assert VARIANTS


def random_graph(seed: int) -> Graph:
    """A chain of what a stick computes, with a residual sum where one fits."""
    generator = np.random.default_rng(seed)
    writer = ModelWriter()
    channels, height, width = (int(n) for n in generator.integers(1, 9, 3))
    entry = writer.add_input((1, channels, height, width), 8)
    for layer in range(int(generator.integers(1, 5))):
        entry = add_block(writer, f"n{layer}", entry, generator)
    if generator.random() < 0.5:
        flat = writer.add("flatten", "flat", [entry])
        units = int(generator.integers(1, 11))
        values = generator.integers(-127, 128, (units, flat.shape[1])).astype(np.int32)
        weight = writer.add_parameter("w", values, 8)
        bias = writer.add_parameter("b", values[:, 0] * 100, 15)
        entry = writer.add("dense", "dense", [flat, weight, bias], units=units)
    return load(*writer.finish([entry]))


def add_block(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    groups = entry.shape[1] if generator.random() < 0.3 else 1
    outputs = entry.shape[1] if generator.random() < 0.5 else groups * int(generator.integers(1, 5))
    kernel = tuple(int(generator.integers(1, min(n, 3) + 1)) for n in entry.shape[2:])
    shape = (outputs, entry.shape[1] // groups, *kernel)
    values = generator.choice([-127, 0, 3, 127], shape).astype(np.int32)
    inputs = [entry, writer.add_parameter(f"{name}w", values, 8)]
    if generator.random() < 0.5:
        bias = generator.integers(-9999, 9999, outputs).astype(np.int32)
        inputs.append(writer.add_parameter(f"{name}b", bias, 15))
    stride = int(generator.integers(1, 3))
    total = writer.add(
        "conv2d", name, inputs, channels=outputs, kernel_size=kernel, groups=groups,
        padding=(kernel[0] // 2, kernel[1] // 2), strides=(stride, 1), use_bias=len(inputs) == 3,
    )  # fmt: skip
    kept = writer.add(
        "cvm_right_shift", f"{name}s", [total], precision=8, shift_bit=int(generator.integers(1, 9))
    )
    if kept.shape == entry.shape and generator.random() < 0.7:
        joined = writer.add("elemwise_add", f"{name}j", [kept, entry])
        kept = writer.add("cvm_clip", f"{name}c", [joined], precision=8)
    kept = writer.add("relu", f"{name}r", [kept]) if generator.random() < 0.6 else kept
    if min(kept.shape[2:]) > 1 and generator.random() < 0.4:
        return writer.add("max_pool2d", f"{name}p", [kept], pool_size=(2, 2), strides=(2, 1))
    return kept


def test_whole_models_are_equal_to_the_reference(session: StickSession) -> None:
    """Random models of every layer there is, with inputs at both ends of their range."""
    runs, layers = StickRuns(session, check_ratio=0), set[str]()
    for seed in range(60):
        program = lower(random_graph(seed))
        layers |= {step.op for step in program.steps}
        runs.load(str(seed), program)
        generator = np.random.default_rng(seed)
        for low, high in ((-127, 128), (127, 128), (-127, -126)):
            data = generator.integers(low, high, program.input_shape).astype("<i4")
            answer = runs.run(str(seed), data.tobytes())
            assert answer == reference(program, data.tobytes()), seed
        runs.unload(str(seed))
    assert layers >= {"conv2d", "dense", "relu", "max_pool2d", "elemwise_add", "cvm_clip"}


def test_what_a_stick_lacks_is_refused_by_name(session: StickSession) -> None:
    runs, refused = StickRuns(session), 0
    for seed in range(30):
        try:
            runs.load(str(seed), lower(load(*random_model(np.random.default_rng(seed)))))
        except NotSupported as error:
            refused += 1
            assert len(str(error)) > 10
    assert refused > 20


def reference(program: Program, data: bytes) -> bytes:
    host = stick_session.HostProgram(program, 64 << 20)
    try:
        return host.run(data)
    finally:
        host.close()


def test_a_cvm_model_end_to_end(session: StickSession, vector_folder: Path) -> None:
    """The node's reference, the lowered program on the stick, and the bytes of the chain."""
    from cvm_models import small_model

    from node.lowering import encode_heads

    graph = load(*small_model())
    runs = StickRuns(session)
    runs.load("small", lower(graph))
    data = np.array([[9, -8, 7]], "<i4")
    raw = runs.run("small", data.tobytes())
    assert encode_heads(graph, raw) == run(graph, data.astype(np.int8).tobytes())


def test_models_that_do_not_fit(session: StickSession) -> None:
    program = infer_program()
    wide = Program(
        shapes=((1, 200_000), (1, 200_000)),
        precisions=(8, 8),
        parameters={},
        steps=(type(program.steps[0])("relu", (0,), (1,), {}),),
        heads=(1,),
    )
    with pytest.raises(OutOfMemory, match="numbers; this stick holds"):
        StickRuns(session).load("wide", wide)
    heavy = dict(program.parameters) | {3: program.parameters[3] * 3}
    with pytest.raises(NotSupported, match="dense do not fit a byte"):
        StickRuns(session).load("heavy", type(program)(**{**vars(program), "parameters": heavy}))


def test_two_models_take_turns(session: StickSession) -> None:
    runs, program = StickRuns(session), infer_program()
    other = type(program)(**{**vars(program), "heads": (8,)})
    data = spread(program.input_shape, 251, 127).astype("<i4").tobytes()
    runs.load("a", program)
    runs.load("b", other)
    first, second = runs.run("a", data), runs.run("b", data)
    assert (runs.run("a", data), runs.run("b", data)) == (first, second)
    assert len(first) != len(second)


def test_a_wrong_answer_is_found_out(
    session: StickSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, program = StickRuns(session), infer_program()
    runs.load("net", program)
    data = spread(program.input_shape, 251, 127).astype("<i4").tobytes()
    honest = runs._compute
    monkeypatch.setattr(runs, "_compute", lambda image, data: honest(image, data)[::-1])
    with pytest.raises(WrongAnswer, match="reference"):
        runs.run("net", data)


def test_it_comes_back_from_garbage(stick: Plugged) -> None:
    noise = random.Random(1)
    with serial.Serial(stick.port, timeout=0) as raw:
        for _ in range(200):
            raw.write(noise.randbytes(noise.randrange(1, 3000)))
            raw.read(100_000)
        hello = encode(Message(Request.HELLO, 7, b""))
        raw.write(hello[: len(hello) // 2] + b"\0")
        raw.write(bytes([hello[0], hello[1] ^ 1]) + hello[2:])
    with StickLink(stick.port) as link:
        assert link.hello().serial == "TEST0001"
        assert link.vitals().bad_frames >= 2


def test_whatever_a_host_sends_the_stick_lives(stick: Plugged) -> None:
    """Sound frames with arbitrary contents: an answer or a refusal to each, nothing touched that
    is not the model's (the sanitizers would tell)."""
    chance = random.Random(2)
    program = infer_program()
    image = bytearray(build_image(program).content)
    with StickLink(stick.port) as link:
        for number in range(400):
            broken = bytearray(image)
            for _ in range(chance.randrange(1, 6)):
                place = chance.randrange(4, min(len(broken), 700))
                broken[place] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
            try_model(link, bytes(broken), number)
        for _ in range(400):
            body = chance.randbytes(chance.randrange(0, 200))
            with_types = chance.choice([*Request])
            try:
                link.ask(with_types, body, 2.0)
            except DriverError:
                continue
        assert link.hello().serial == "TEST0001"


def try_model(link: StickLink, image: bytes, number: int) -> None:
    size, checksum = len(image), zlib.crc32(image)
    identity = number.to_bytes(32, "little")
    try:
        link.ask(Request.MODEL_BEGIN, identity + struct.pack("<II", size, checksum))
        for offset in range(0, size, 900):
            link.ask(Request.MODEL_DATA, struct.pack("<I", offset) + image[offset : offset + 900])
        link.ask(Request.MODEL_END)
        link.ask(Request.RUN, seconds=5.0)
        link.ask(Request.OUTPUT_READ, struct.pack("<II", 0, 1))
    except DeadlineExceeded:
        link.cancel()
    except DriverError:
        return


def test_damaged_frames_on_the_way_lose_nothing(
    session: StickSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in ten frames, in both directions."""
    chance = random.Random(3)
    port = session._link._line._port
    send, receive = port.write, port.read

    def damage(content: bytes) -> bytes:
        if len(content) < 4 or chance.random() > 0.1:
            return content
        place = chance.randrange(1, len(content) - 1)
        return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]

    monkeypatch.setattr(port, "write", lambda content: send(damage(content)))
    monkeypatch.setattr(port, "read", lambda size: damage(receive(size)))
    monkeypatch.setattr("drivers.usbstick.link.REPLY_SECONDS", 0.1)
    monkeypatch.setattr("drivers.usbstick.link.REPEATS", 50)
    runs, program = StickRuns(session, check_ratio=0, run_seconds=0.3), infer_program()
    monkeypatch.setattr(
        session, "ask", lambda request, body=b"", seconds=0.1: session._link.ask(request, body, 0.1)
    )
    runs.load("net", program)
    data = spread(program.input_shape, 251, 127).astype("<i4").tobytes()
    expected = reference(program, data)
    for _ in range(20):
        assert runs.run("net", data) == expected


def test_unplugged_in_the_midst_of_a_request(session: StickSession, stick: Plugged) -> None:
    runs, program = StickRuns(session), infer_program()
    runs.load("net", program)
    stick.unplug()
    with pytest.raises(DeviceLost, match="gone"):
        runs.run("net", bytes(4 * 128))


def test_a_port_has_one_holder(session: StickSession, stick: Plugged) -> None:
    with pytest.raises(DeviceBusy, match="another session"):
        StickLink(stick.port)


def test_something_else_on_the_port() -> None:
    controller, terminal = os.openpty()
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="no answer to HELLO"):
        StickLink(os.ttyname(terminal)).hello()
    assert time.monotonic() - began < 6
    os.close(controller)
    os.close(terminal)


@pytest.fixture
def named(stick: Plugged, monkeypatch: pytest.MonkeyPatch) -> Plugged:
    monkeypatch.setenv(PORTS_VARIABLE, stick.port)
    return stick


def test_the_driver_finds_and_reads_it(named: Plugged, tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    (device,) = driver.discover()
    assert device.info.capabilities == {Capability.INFER, Capability.VERIFY_CUCKOO}
    assert device.info.hardware_id == "usb-0000-0000-TEST0001"
    assert device.info.details["firmware"] == "1.0"
    values = device.snapshot().values
    assert values["temperature_celsius"] == 41.5
    assert values["voltage_volts"] == 4.98
    assert device.health().status is HealthStatus.OK
    session = device.open(Capability.INFER)
    try:
        assert device.snapshot().values["temperature_celsius"] == 41.5, "by the session's file"
        assert driver.discover()[0].info == device.info, "what is held is not asked again"
    finally:
        session.close()
    with pytest.raises(NotSupported):
        device.open(Capability.CUCKOO)
    with pytest.raises(BadArgument):
        device.open(Capability.INFER, speed=9)


@pytest.mark.parametrize("capability", [Capability.INFER, Capability.VERIFY_CUCKOO])
def test_it_proves_itself_in_a_worker(named: Plugged, capability: Capability) -> None:
    answer = prove("usbstick", "usbstick:0", capability)
    assert answer.passed, answer.detail


def test_frames_as_the_specification_prints_them() -> None:
    text = (Path(__file__).parents[3] / "docs/usb-stick-protocol.md").read_text()
    frame = bytes.fromhex(text.split("HELLO, number 1:")[1].split("`")[1].replace(" ", ""))
    assert frame == encode(Message(Request.HELLO, 1, b""))
    assert decode(frame[:-1]) == Message(Request.HELLO, 1, b"")
