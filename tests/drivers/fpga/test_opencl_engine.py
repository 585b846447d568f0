"""FPGA boards through OpenCL, as far as PoCL can stand in for one: a program made ahead of time
and loaded as a binary, over the real loader."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.base import Capability
from drivers.errors import DeviceLost, DriverMissing, NotSupported, SelfTestFailed
from drivers.fpga import opencl_boards, opencl_engine
from drivers.fpga.driver import Driver
from drivers.fpga.opencl_boards import BINARY_VARIABLE
from drivers.fpga.session import FpgaRuns
from drivers.host_program import HostProgram
from drivers.selftest import check
from tests.support.cvm_layers import random_layer

SOURCE = Path(opencl_engine.__file__).with_name("opencl") / "layer.cl"
LIMIT = 1 << 28


@pytest.fixture(scope="module")
def stand_in() -> Iterator[None]:
    """PoCL taken for an FPGA's platform."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opencl_boards, "FPGA_PLATFORMS", ("portable computing language",))
        try:
            opencl_boards.list_boards()
        except DriverMissing as missing:
            pytest.skip(str(missing))
        yield


def compile_binary(source: str, path: Path) -> Path:
    """What the vendor's compiler does ahead of time."""
    cl = importlib.import_module("pyopencl")
    device = opencl_boards.open_device(opencl_boards.list_boards()[0])
    context = cl.Context([device])
    path.write_bytes(cl.Program(context, source).build().get_info(cl.program_info.BINARIES)[0])
    return path


@pytest.fixture(scope="module")
def binary(stand_in: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "farmctl_layer.aocx"
    return compile_binary(SOURCE.read_text(), path)


@pytest.fixture(scope="module")
def session(binary: Path) -> Iterator[FpgaRuns]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BINARY_VARIABLE, str(binary))
        board = next(b for b in Driver().discover() if b.info.details["through"] == "opencl")
        assert board.info.details["program"] == "farmctl_layer.aocx"
        opened = board.open(Capability.INFER, check_ratio=1.0)
    assert isinstance(opened, FpgaRuns)
    yield opened
    opened.close()


def test_gives_the_known_answer(session: FpgaRuns) -> None:
    assert "to the bit" in check(session, Capability.INFER)


@pytest.mark.parametrize("seed", range(12))
def test_layers_are_exact(session: FpgaRuns, seed: int) -> None:
    program, data = random_layer(np.random.default_rng(seed))
    session.load(str(seed), program)
    assert session.run(str(seed), data) == HostProgram(program, LIMIT).run(data)
    assert session.layer_counters(str(seed)) == []
    session.unload(str(seed))


def test_a_program_that_computes_wrong_is_refused(stand_in: None, tmp_path: Path) -> None:
    wrong = SOURCE.read_text().replace("shift_bits - 1", "shift_bits")
    binary = compile_binary(wrong, tmp_path / "wrong.aocx")
    (board, *_) = opencl_boards.list_boards()
    with pytest.raises(SelfTestFailed, match="int8 layer"):
        FpgaRuns(opencl_engine.OpenClEngine(board, binary))


def test_files_that_are_no_program_are_refused(stand_in: None, tmp_path: Path) -> None:
    (board, *_) = opencl_boards.list_boards()
    with pytest.raises(NotSupported, match="cannot be read"):
        opencl_engine.OpenClEngine(board, tmp_path / "nothing.aocx")
    (tmp_path / "text.aocx").write_text("no binary")
    with pytest.raises(NotSupported, match="no program for"):
        opencl_engine.OpenClEngine(board, tmp_path / "text.aocx")
    other = compile_binary("__kernel void other() {}", tmp_path / "other.aocx")
    with pytest.raises(NotSupported, match=r"other\.aocx is no program"):
        opencl_engine.OpenClEngine(board, other)


def test_a_board_that_has_gone_is_lost(stand_in: None) -> None:
    (board, *_) = opencl_boards.list_boards()
    with pytest.raises(DeviceLost, match="not there any more"):
        opencl_boards.open_device(opencl_boards.Board("another", "x", "1", 1, 0, None))
    assert opencl_boards.open_device(board).name == board.name
