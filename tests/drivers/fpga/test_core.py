"""The core by itself: its sources, its registers, and what a chip must have for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.errors import DriverError, NotSupported
from drivers.fpga.board import Board, Place
from drivers.fpga.core_registers import Core, Register, Status
from drivers.fpga.known_answer import CASES, checksum, known_input, known_layer
from drivers.fpga.memory_layout import MAGIC, Descriptor
from drivers.fpga.requantisation import Requantisation
from drivers.fpga.simulation.build import core_hash, lint
from drivers.program import Step
from farmctl.hardware import load_products
from tests.support import reference_program as reference

KEPT = Path(__file__).parents[3] / "benchmarks/results/fpga.json"
EMPTY = Descriptor(
    features=0x1000_0000, feature_bytes=128, offsets=0x1000_0000, steps=1, weights=0x1000_0000,
    weight_bytes=128, channel_tiles=1, position_tiles=1, output=0x1000_1000, shift_bits=0,
    lowest=-128, highest=127, packs_features=False, packs_weights=False, is_wide=False,
)  # fmt: skip


@pytest.fixture
def board(simulated: Place) -> Iterator[Board]:
    opened = Board(simulated)
    yield opened
    opened.close()


def run_descriptor(board: Board, content: bytes) -> None:
    buffer = board.allocate(4096)
    board.store(buffer, content)
    Core(board).run(buffer.address)


def test_lints_clean(simulated: Place) -> None:
    assert lint() == ""


def test_report_is_of_these_sources_and_fits() -> None:
    """``python -m benchmarks fpga --keep`` writes it anew, with yosys installed."""
    report = json.loads(KEPT.read_text())
    assert report["source"] == core_hash()
    assert {row["resource"] for row in report["resources"]} == {"DSP48E1", "LUT", "FF", "BRAM36"}
    assert all(0 < row["used"] <= row["available"] for row in report["resources"])
    assert all(0 < row["macs_per_cycle"] <= 256 for row in report["layers"])


def test_overlay_description_is_the_cores(board: Board) -> None:
    (overlay,) = [p.overlay for p in load_products() if p.name == "PYNQ-Z2"]
    assert overlay
    info = Core(board).info
    assert (overlay.rows, overlay.channels) == (info.rows, info.channels)
    assert overlay.feature_bytes == info.buffers.feature_bytes
    assert overlay.most_steps == info.buffers.steps
    assert overlay.macs_per_second == pytest.approx(25.6e9)


def test_registers_hold_what_may_be_written(board: Board) -> None:
    board.write(Register.DESCRIPTOR, 0x1234_5680)
    board.write(Register.IDENTITY, 0)
    board.write(Register.CONTROL, 0)
    assert board.read(Register.DESCRIPTOR) == 0x1234_5680
    assert board.read(Register.IDENTITY) == 0x4641_524D
    assert board.read(Register.STATUS) == 0
    assert board.read(0x3C) == 0


@pytest.mark.parametrize(
    "content",
    [
        bytes(128),
        EMPTY.encode(True).replace(MAGIC.to_bytes(4, "little"), b"abcd"),
        replace(EMPTY, steps=0).encode(True),
        replace(EMPTY, steps=8193).encode(True),
        replace(EMPTY, channel_tiles=0).encode(True),
        replace(EMPTY, position_tiles=0).encode(True),
        replace(EMPTY, weight_bytes=0).encode(True),
        replace(EMPTY, feature_bytes=131_072 + 128).encode(True),
    ],
)
def test_malformed_descriptors_are_refused(board: Board, content: bytes) -> None:
    with pytest.raises(DriverError, match="descriptor"):
        run_descriptor(board, content)
    run_descriptor(board, EMPTY.encode(True))
    assert board.read(Register.STATUS) == Status.DONE


def test_memory_beyond_the_boards_is_told(board: Board) -> None:
    with pytest.raises(DriverError, match="read"):
        run_descriptor(board, replace(EMPTY, features=0x0800_0000).encode(True))
    with pytest.raises(DriverError, match="write"):
        run_descriptor(board, replace(EMPTY, output=0xF000_0000).encode(True))


def test_another_design_is_refused(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.fpga.core_registers.IDENTITY", 1)
    with pytest.raises(NotSupported, match="not farmcore"):
        Core(board)


def test_an_unknown_version_is_refused(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.fpga.core_registers.MAJOR_VERSION", 2)
    with pytest.raises(NotSupported, match="another driver"):
        Core(board)


@pytest.mark.parametrize("case", CASES)
def test_known_answers_are_the_definitions(case: tuple[bool, Requantisation, int]) -> None:
    is_packed, requantisation, expected = case
    layer = known_layer(is_packed, requantisation)
    sums = reference.conv2d(
        known_input(is_packed).astype(np.int64),
        layer.weights.astype(np.int64),
        layer.bias.astype(np.int64),
        padding=(1, 1),
    )
    if bits := requantisation.shift_bits:
        sums = np.floor_divide(sums + 2 ** (bits - 1), 2**bits)
    answer = np.clip(sums, requantisation.lowest, requantisation.highest)
    assert checksum(answer.astype(np.int32)) == expected
    wrong = answer.astype(np.int32)
    wrong[0, 0, 0, 0] ^= 1
    assert checksum(wrong) != expected


def step(op: str, **attributes: int) -> Step:
    return Step(op, (0,), (1,), attributes)


def test_steps_fold_into_one_requantisation() -> None:
    shifted = Requantisation().then(step("cvm_right_shift", precision=8, shift_bit=5))
    assert shifted == Requantisation(5, -127, 127)
    assert shifted and shifted.then(step("relu")) == Requantisation(5, 0, 127)
    before = Requantisation().then(step("relu"))
    assert before and before.then(step("cvm_right_shift", precision=8, shift_bit=5)) == (
        Requantisation(5, 0, 127)
    )
    assert shifted.then(step("cvm_right_shift", precision=4, shift_bit=2)) is None
    assert Requantisation().then(step("cvm_right_shift", precision=8, shift_bit=31)) is None
    assert Requantisation().then(step("negative")) is None
