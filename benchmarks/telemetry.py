"""Processor time of reading sixteen GPUs once a second, as an agent does.

Sixteen GPUs behind a fake libnvidia-ml below the real pynvml: the time is that of pynvml, of the
driver family, of the samplers' threads and of the message to the bus, not of NVIDIA's driver.
Needs a C compiler and a clone of the repository.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DEVICES = 16
QUICK_SECONDS, FULL_SECONDS = 5, 60
TARGET_RATIO = 0.01
TESTS = Path(__file__).resolve().parents[1] / "tests"


def run(quick: bool) -> dict[str, Any]:
    seconds = QUICK_SECONDS if quick else FULL_SECONDS
    command = [sys.executable, "-m", "benchmarks.telemetry", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60)
    return {"rows": [json.loads(done.stdout)]}


def measure(seconds: int) -> dict[str, Any]:
    """In a process of its own, for pynvml keeps its library."""
    sys.path.insert(0, str(TESTS / "support"))
    with tempfile.TemporaryDirectory() as folder:
        _fake_machine(Path(folder))
        return _sample(seconds)


def _fake_machine(folder: Path) -> None:
    import fake_nvml
    import nvml_fixtures
    import pynvml

    pynvml.nvmlLib = nvml_fixtures.build(folder / "libfake-nvidia-ml.so")
    machine = fake_nvml.create_machine(folder / "machine")
    for index in range(2, DEVICES):
        gpu = machine.gpus[index]
        ctypes.memmove(ctypes.byref(gpu), ctypes.byref(machine.gpus[1]), ctypes.sizeof(gpu))
        gpu.uuid, gpu.bus = f"GPU-{index:08d}".encode(), f"00000000:{index + 1:02X}:00.0".encode()
    machine.count = DEVICES


def _sample(seconds: int) -> dict[str, Any]:
    from drivers.cuda.driver import Driver
    from farmctl.agent.sampler import Sampler
    from farmctl.messages import Reading, ReadingBatch

    samplers = [Sampler(device) for device in Driver().discover()]
    for sampler in samplers:
        sampler.start()
    time.sleep(1.5)
    began, used, sent = time.monotonic(), time.process_time(), 0
    for _ in range(seconds):
        time.sleep(1.0)
        samples = [s for s in (sampler.take() for sampler in samplers) if s]
        readings = tuple(
            Reading(
                device=s.telemetry.device_id,
                at=s.telemetry.time,
                values=dict(s.telemetry.values),
                missing=dict(s.telemetry.missing),
            )
            for s in samples
        )
        sent += len(readings)
        ReadingBatch(rig="rig", readings=readings).model_dump_json()
    core_ratio = (time.process_time() - used) / (time.monotonic() - began)
    for sampler in samplers:
        sampler.stop()
    return {
        "devices": len(samplers),
        "seconds": seconds,
        "readings": sent,
        "core_ratio": core_ratio,
        "target_core_ratio": TARGET_RATIO,
        "passed": core_ratio <= TARGET_RATIO,
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
