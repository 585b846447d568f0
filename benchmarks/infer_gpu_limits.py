"""What a GPU cannot do INFER faster than: arithmetic and memory of each net of the zoo.

Counted from the very launches that the scheduler makes, without a GPU. ``least_ms`` takes each
layer's larger limit, of a GPU whose peaks are given (an H200's are the default).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.infer_gpu import choose_nets
from drivers.kernels.gpu.infer.schedule import Launch, Schedule
from drivers.kernels.gpu.infer.scheduler import schedule
from drivers.kernels.gpu.infer.target import InferGpu, Target
from drivers.kernels.infer.fusion import fuse

if TYPE_CHECKING:
    from benchmarks.zoo.catalogue import Net

BATCHES = (1, 64)
#: NVIDIA H200: dense int8, HBM3e; multiprocessors.
TERA_MACS, TERA_BYTES, UNITS = 989.5, 4.8, 132
MEMORY_BYTES = 1 << 37
LAUNCH_SECONDS = 1.3e-6
"""Between two kernels of a graph: an assumption, to be replaced by what is measured."""


@dataclass(frozen=True)
class Peaks:
    macs_per_second: float
    bytes_per_second: float


@dataclass(frozen=True)
class Cost:
    """Of one launch, for one image. ``executed`` counts what tiles and padding add."""

    macs: int
    executed: int
    weight_bytes: int
    pixel_bytes: int

    def seconds(self, batch: int, peaks: Peaks) -> float:
        moved = (self.weight_bytes + batch * self.pixel_bytes) / peaks.bytes_per_second
        return max(batch * self.macs / peaks.macs_per_second, moved)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="*", help="only these nets of the zoo")
    parser.add_argument("--tera-macs", type=float, default=TERA_MACS, help="a second")
    parser.add_argument("--tera-bytes", type=float, default=TERA_BYTES, help="a second")


def run(
    quick: bool,
    nets: list[str] | None = None,
    tera_macs: float = TERA_MACS,
    tera_bytes: float = TERA_BYTES,
) -> dict[str, Any]:
    peaks = Peaks(tera_macs * 1e12, tera_bytes * 1e12)
    rows = [row for net in choose_nets(quick, nets) for row in limit(net, peaks)]
    return {"tera_macs": tera_macs, "tera_bytes": tera_bytes, "rows": rows}


def limit(net: Net, peaks: Peaks) -> list[dict[str, Any]]:
    """A row for each of `BATCHES`."""
    from benchmarks.zoo.integers import EXTENSION, read_program

    plan = fuse(read_program(net, EXTENSION))
    found = schedule(plan, InferGpu(Target("wgmma"), UNITS, MEMORY_BYTES))
    return [{"net": net.name, **summarise(found, batch, peaks)} for batch in BATCHES]


def summarise(found: Schedule, batch: int, peaks: Peaks) -> dict[str, Any]:
    launches = [part for part in found.parts if isinstance(part, Launch)]
    costs = [cost_of(launch) for launch in launches]
    macs, executed = (sum(getattr(c, name) for c in costs) for name in ("macs", "executed"))
    weights, pixels = (
        sum(getattr(c, name) for c in costs) for name in ("weight_bytes", "pixel_bytes")
    )
    return {
        "batch": batch,
        "launches": len(launches),
        "host_steps": len(found.parts) - len(launches),
        "gmac": macs / 1e9,
        "executed_gmac": executed / 1e9,
        "weights_mb": weights / 1e6,
        "pixels_mb": batch * pixels / 1e6,
        "arithmetic_ms": 1e3 * batch * macs / peaks.macs_per_second,
        "memory_ms": 1e3 * (weights + batch * pixels) / peaks.bytes_per_second,
        "least_ms": 1e3 * sum(cost.seconds(batch, peaks) for cost in costs),
        "launching_ms": 1e3 * LAUNCH_SECONDS * len(launches),
    }


def cost_of(launch: Launch) -> Cost:
    """Every byte of the source, of what is added and of the target moves once."""
    record = launch.record[0]
    names = record.dtype.names or ()
    if "finish" not in names:
        count = int(record["images"]) * int(record["plane"]) * int(record["channels"])
        return Cost(0, 0, 0, 5 * count)
    finish = record["finish"]
    if "image" not in names:
        pixels = int(record["pixels"])
        return Cost(0, 0, 0, pixels * (int(record["stride"]) + _target_bytes(finish)))
    image = record["image"]
    pixels = int(image["pixels"])
    plane = int(image["height"]) * int(image["width"])
    images = pixels // (int(image["out_height"]) * int(image["out_width"]))
    moved = images * plane * int(image["stride"]) + pixels * _target_bytes(finish)
    if "chunks" not in names:
        taps = int(record["rows"]) * int(record["columns"])
        return Cost(pixels * int(finish["channels"]) * taps, 0, 0, moved)
    return _cost_of_products(launch, pixels, moved)


def _cost_of_products(launch: Launch, pixels: int, moved: int) -> Cost:
    record = launch.record[0]
    rows, depth = int(record["rows"]), 16 * int(record["chunks"])
    bundles = launch.groups[2] // int(record["splits"])
    tile = {t.name: t for t in (*Target("wgmma").tiles, Target("wgmma").first)}.get(launch.kernel)
    area = launch.groups[0] * launch.groups[1] * (tile.rows * tile.columns if tile else 8)
    macs = pixels * int(record["bundle_out"]) * bundles * depth
    return Cost(macs, area * bundles * depth, rows * depth * bundles, moved)


def _target_bytes(finish: Any) -> int:
    """Of a pixel, with what is added to it."""
    if finish["words"]:
        return 4 * int(finish["channels"])
    return int(finish["target_stride"]) * (2 if finish["adds"] else 1)
