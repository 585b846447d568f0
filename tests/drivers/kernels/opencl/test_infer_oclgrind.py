"""Every inference kernel under Oclgrind, for races, accesses out of bounds and missed barriers: see
test_oclgrind.py. Its check for memory that nobody wrote lacks an instruction that these kernels
compile to (freeze), so that it stays off."""

from __future__ import annotations

from pathlib import Path

import oclgrind

from drivers.kernels.opencl.infer_queue import SOURCES, kernel_source

#: A small net of all kernels, against its definition; the kernels' text is told.
NET = """
import sys
from pathlib import Path
import numpy as np
from drivers.kernels.gpu.infer import trial
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu
from drivers.kernels.infer.layers import Add, Lookup, PoolKind, Scale, Window
from drivers.kernels.opencl import infer_queue
from drivers.kernels.opencl.devices import list_devices
from drivers.kernels.opencl.infer_queue import Memory, OpenClQueue
from drivers.kernels.opencl.inference import OpenClTarget

infer_queue.SOURCES = tuple(map(Path, sys.argv[1:]))
net = trial.Net(np.random.default_rng(1))
x = net.input((1, 3, 5, 5), trial.SIGNED)
x = net.convolve(x, 20, Window((3, 3), (1, 1), (1, 1, 1, 1)), bounds=trial.UNSIGNED)
x = net.pool(x, Window((2, 2), (2, 2), (0, 0, 1, 1)), PoolKind.LARGEST)
x = net.convolve(x, 20, Window((2, 2), (1, 1), (1, 1, 0, 0)), groups=20)
deep = net.convolve(x, 70, Window((1, 1)))
left, right = net.map(deep, Lookup), net.map(deep, Scale)
joined = net.map(net.concatenate(left, right), Add, net.concatenate(right, left))
pooled = net.pool(joined, Window((2, 2), (2, 2)), PoolKind.SUM)
dense = net.convolve(pooled, 9, Window((1, 1)), rescaled=False)
split = net.convolve(deep, 12, Window((3, 3), padding=(1, 1, 1, 1)))
plan = net.plan(net.words(joined), dense, net.words(split))

(device,) = list_devices()
assert "Oclgrind" in device.platform, device
memory = Memory.open(device)
session = GpuInfer(lambda: OpenClQueue(memory), InferGpu(OpenClTarget("opencl"), 64, 1 << 30), 1)
session.load_plan("it", plan)
data = trial.trial_input(plan)
answer = session.run("it", data.tobytes())
launched = {part.kernel for part in session._models["it"].schedule.parts}
print(answer == trial.answer_of(plan, data), *sorted(launched))
"""
KERNELS = "convolve convolve_first dense depthwise finish_splits mapping pooling to_bytes to_words"


def check(folder: Path, *sources: Path) -> tuple[str, str]:
    """What the net printed, and what Oclgrind reported."""
    return oclgrind.run(folder, NET, *map(str, sources), OCLGRIND_DATA_RACES="1")


def test_kernels_are_clean(tmp_path: Path) -> None:
    assert check(tmp_path, *SOURCES) == (f"True {KERNELS}", "")


def test_a_missing_barrier_is_reported(tmp_path: Path) -> None:
    """So that an empty report means something."""
    broken = tmp_path / "broken.cl"
    broken.write_text(kernel_source().replace("barrier(CLK_LOCAL_MEM_FENCE);", "", 2))
    _, reports = check(tmp_path, broken)
    assert "data race" in reports
    assert "convolve" in reports
