"""The GPU benchmark over the kernels run on the host, and where there is no GPU."""

from __future__ import annotations

import threading
from pathlib import Path

import host_infer
import pytest
from host_infer import HostQueue

from benchmarks import infer_gpu
from benchmarks.readings import Readings
from drivers import selftest
from drivers.base import DeviceInfo, Telemetry
from drivers.errors import DeviceLost
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu, Target


class Board:
    """A device that is read, and lost at the third reading."""

    info = DeviceInfo("cuda:0", "GPU-1", "cuda", "NVIDIA H200", frozenset())

    def __init__(self) -> None:
        self.reads = 0
        self.fourth = threading.Event()

    def snapshot(self) -> Telemetry:
        self.reads += 1
        if self.reads == 4:
            self.fourth.set()
        if self.reads > 2:
            raise DeviceLost("gone")
        return Telemetry("cuda:0", 0.0, {"power_watts": 70.0, "fan_ratio": 0.5}, {})


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> GpuInfer:
    folder: Path = tmp_path_factory.mktemp("dot")
    library = host_infer.build(folder, "dot")
    return GpuInfer(lambda: HostQueue(library), InferGpu(Target("dot"), 4, 1 << 30))


DATA = selftest.spread(selftest.infer_program().input_shape, 251, 127).astype("<i4").tobytes()


def test_a_row_of_a_net(session: GpuInfer) -> None:
    row = infer_gpu.measure_program(session, "it", selftest.infer_program(), DATA, 0.05)
    assert 0 < row["least_ms"] <= row["median_ms"] <= row["p99_ms"]
    assert len(row["answer"]) == 64
    assert session.resident_bytes == 0


def test_a_wrong_answer_ends_it(session: GpuInfer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target, "channel_order", lambda self: list(range(32)))
    with pytest.raises(AssertionError, match="it: the GPU's answer is not the processor's"):
        infer_gpu.measure_program(session, "it", selftest.infer_program(), DATA, 0.05)
    session.unload("it")


def test_targets_are_told_of_all_eight() -> None:
    rows = [{"median_ms": 0.4, "in_table_3": True}] * 8 + [{"median_ms": 9.0, "in_table_3": False}]
    batched = [{"net": "resnet-152", "batch": 64, "images_per_second": 24e3}]
    board = Board()
    lines = infer_gpu.rate(board, rows, batched)  # type: ignore[arg-type]
    assert [line["met"] for line in lines] == [True, False]
    assert lines[0]["measured"] == pytest.approx(0.4)
    assert not infer_gpu.rate(board, rows[:7], [])  # type: ignore[arg-type]


def test_readings_go_on_while_it_measures() -> None:
    board = Board()
    with Readings(board, period_seconds=0.001) as readings:  # type: ignore[arg-type]
        assert board.fourth.wait(30)
    first, lost = readings.taken[0], readings.taken[2]
    assert first["power_watts"] == 70.0
    assert "fan_ratio" not in first
    assert lost["error"] == "gone"


def test_says_why_there_is_nothing_to_measure() -> None:
    if any(map(infer_gpu._devices, infer_gpu.FAMILIES)):
        pytest.skip("not run: here is a GPU, and `python -m benchmarks infer_gpu` measures it")
    found = infer_gpu.run(quick=True)
    assert not found["rows"]
    assert set(found["absent"]) == {"cuda", "rocm"}
    assert all(found["absent"].values())
