"""All there is to measure of INFER on the GPUs of this machine, correctness first.

1. Opening a session runs a net of all kernels against its definition.
2. Each of the zoo's nets answers as the processor does, at batch 1; so does ResNet-152 at 64.
3. Milliseconds of a request (from the host's memory and back to it), the mean of the
   whitepaper's eight, and ResNet-152's images a second. NVML's readings beside it are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from benchmarks.readings import Readings
from drivers import registry
from drivers.base import Capability, Device, InferSession
from drivers.errors import DriverError
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.program import Program

if TYPE_CHECKING:
    from benchmarks.zoo.catalogue import Net

FAMILIES = ("cuda", "rocm")
QUICK_NETS = ("squeezenet", "resnet-50")
BATCHED, BATCH = "resnet-152", 64
BATCHES_IN_FLIGHT = 3
SECONDS, QUICK_SECONDS = 5.0, 1.0
WARM_REQUESTS = 10
CPU_MEMORY_BYTES = 16 << 30
SEED = 36
MEAN_MS, IMAGES_PER_SECOND = 0.5, 25_000.0
"""What an H200 must show."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="*", help="only these nets of the zoo, at batch 1")
    parser.add_argument("--batch", type=int, default=BATCH, help="of the throughput")


def run(quick: bool, nets: list[str] | None = None, batch: int = BATCH) -> dict[str, Any]:
    devices = [device for family in FAMILIES for device in _devices(family)]
    if not devices:
        return {"absent": {family: _why_absent(family) for family in FAMILIES}, "rows": []}
    chosen = choose_nets(quick, nets)
    seconds = QUICK_SECONDS if quick else SECONDS
    report: dict[str, Any] = {"rows": [], "throughput": [], "targets": [], "trace": []}
    for device in devices:
        with Readings(device) as readings:
            session = cast(GpuInfer, device.open(Capability.INFER, lanes=BATCHES_IN_FLIGHT))
            rows = [measure_net(device, session, net, seconds) for net in chosen]
            batched = [] if quick else [measure_batched(device, session, batch, seconds)]
            session.close()
        report["rows"] += rows
        report["throughput"] += batched
        report["targets"] += rate(device, rows, batched)
        report["trace"].append({"device": device.info.id, "readings": readings.taken})
    return report


def measure_net(device: Device, session: GpuInfer, net: Net, seconds: float) -> dict[str, Any]:
    """Raises `AssertionError` where the GPU's answer is not the processor's."""
    program, data = read_net(net, 1)
    row = measure_program(session, net.name, program, data, seconds)
    return {"device": device.info.model, **row, "in_table_3": net.in_table_3}


def measure_program(
    session: GpuInfer, name: str, program: Program, data: bytes, seconds: float
) -> dict[str, Any]:
    """One request after another."""
    began = time.perf_counter()
    session.load(name, program)
    load_ms = 1e3 * (time.perf_counter() - began)
    digest = _expect_equal(name, session.run(name, data), program, data)
    for _ in range(WARM_REQUESTS):
        session.run(name, data)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        session.run(name, data)
        times.append(1e3 * (time.perf_counter() - began))
    session.unload(name)
    return {
        "net": name,
        "median_ms": statistics.median(times),
        "least_ms": min(times),
        "p99_ms": sorted(times)[int(0.99 * (len(times) - 1))],
        "requests": len(times),
        "load_ms": load_ms,
        "answer": digest,
    }


def measure_batched(
    device: Device, session: GpuInfer, batch: int, seconds: float
) -> dict[str, Any]:
    """Several batches in flight, so that copies and arithmetic overlap."""
    from benchmarks.zoo.catalogue import find

    program, data = read_net(find(BATCHED), batch)
    session.load(BATCHED, program)
    digest = _expect_equal(BATCHED, session.run(BATCHED, data), program, data)
    images, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        session.run_many(BATCHED, [data] * 4 * BATCHES_IN_FLIGHT)
        images += 4 * BATCHES_IN_FLIGHT * batch
    elapsed = time.perf_counter() - began
    session.unload(BATCHED)
    return {
        "device": device.info.model,
        "net": BATCHED,
        "batch": batch,
        "images_per_second": images / elapsed,
        "answer": digest,
    }


def rate(
    device: Device, rows: Sequence[dict[str, Any]], batched: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Beside what an H200 must show. The mean is told of all eight alone."""
    eight = [row["median_ms"] for row in rows if row["in_table_3"]]
    lines = []
    if len(eight) == 8:
        mean = statistics.mean(eight)
        lines.append(("mean of the eight, batch 1, ms", mean, MEAN_MS, mean <= MEAN_MS))
    for row in batched:
        speed = row["images_per_second"]
        line = (f"{row['net']} batch {row['batch']}, images/s", speed, IMAGES_PER_SECOND)
        lines.append((*line, speed >= IMAGES_PER_SECOND))
    names = ("what", "measured", "target_of_h200", "met")
    return [{"device": device.info.model, **dict(zip(names, line, strict=True))} for line in lines]


def read_net(net: Net, batch: int) -> tuple[Program, bytes]:
    """The integer model, and an input for it."""
    from benchmarks.zoo.integers import EXTENSION, quantise_images, read_program
    from benchmarks.zoo.weights import random_images

    images = random_images(net.shape, batch, SEED)
    return read_program(net, EXTENSION, batch), quantise_images(net, images).tobytes()


def _expect_equal(name: str, answer: bytes, program: Program, data: bytes) -> str:
    """The answer's hash, which is that of the processor's answer too."""
    processor = registry.find_device("cpu", "cpu:0")
    session = cast(
        InferSession, processor.open(Capability.INFER, memory_limit_bytes=CPU_MEMORY_BYTES)
    )
    session.load(name, program)
    expected = session.run(name, data)
    session.close()
    assert answer == expected, f"{name}: the GPU's answer is not the processor's"
    return hashlib.sha256(answer).hexdigest()


def choose_nets(quick: bool, names: list[str] | None) -> list[Net]:
    """Those that are named, else the whitepaper's eight and ResNet-50."""
    from benchmarks.zoo.catalogue import all_nets, find

    if names or quick:
        return [find(name) for name in names or QUICK_NETS]
    return [net for net in all_nets() if net.in_table_3 or net.name == "resnet-50"]


def _devices(family: str) -> list[Device]:
    try:
        found = registry.driver(family).discover()
    except DriverError:
        return []
    return [device for device in found if Capability.INFER in device.info.capabilities]


def _why_absent(family: str) -> str:
    probe = registry.driver(family).probe()
    if probe.reason:
        return probe.reason
    devices = registry.driver(family).discover()
    return "; ".join(d.info.details.get("infer", "") for d in devices) or "no device"
