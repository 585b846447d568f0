"""INFER as a runner answers it, by an OpenCL device: PoCL's processor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from drivers.errors import DriverMissing
from drivers.kernels.opencl.devices import list_devices
from drivers.opencl.driver import CPU_VARIABLE
from farmctl.memory_bus import MemoryBus
from farmctl.workloads.base import Place
from node.spec.cvm import load, run
from tests.farmctl.workloads.infer_bench import MODEL, PARAMS, SYMBOL, ask


@pytest.fixture
def place(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    try:
        found = any(device.kind == "cpu" for device in list_devices())
    except DriverMissing as error:
        pytest.skip(f"not run: {error}; install pocl-opencl-icd")
    if not found:
        pytest.skip("not run: OpenCL has no processor; install pocl-opencl-icd")
    monkeypatch.setenv(CPU_VARIABLE, "1")
    return dataclasses.replace(place, device_id="opencl:0")


@pytest.mark.usefixtures("worker")
async def test_answers_equal_the_reference(bus: MemoryBus) -> None:
    graph, random = load(SYMBOL, PARAMS), np.random.default_rng(1)
    for _ in range(5):
        data = random.integers(-128, 128, graph.input_bytes, dtype=np.int8).tobytes()
        reply = await ask(bus, MODEL, data, device="rig-a/opencl:0")
        assert reply.status == "ok", reply.detail
        assert reply.output == run(graph, data)
