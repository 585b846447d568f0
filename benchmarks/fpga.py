"""The FPGA core, simulated: cycles of each layer, and what that makes at the board's clock.

Every output is compared with the host's before its cycles count. Memory answers after 8 to 32
cycles, with pauses at random. Frames per second and watts are estimates: the core alone at the
clock of the overlay's description, without the host's steps, and not placed on a chip.

``--keep`` writes the report into the repository.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fpga_resources import Use, estimate_watts, synthesise, version
from benchmarks.infer.small import convolutional_net
from drivers.errors import DriverMissing
from drivers.fpga.board import Place
from drivers.fpga.core_engine import CoreEngine
from drivers.fpga.core_registers import Counters
from drivers.fpga.session import FpgaRuns
from drivers.fpga.simulated_boards import OVERLAY, simulated_environment
from drivers.fpga.simulation.build import core_hash
from drivers.host_program import HostProgram
from drivers.program import Program, Step
from farmctl.hardware import load_products

KEPT = Path(__file__).parent / "results" / "fpga.json"
BOARD = "PYNQ-Z2"
LIMIT_BYTES = 1 << 30
#: name, image side, input channels, channels of the two convolutions
NETS = (("digits", 8, 1, 16, 32), ("small", 28, 1, 32, 64), ("medium", 64, 3, 64, 128))
#: name, input channels, side, filters, kernel, stride, groups, bits of features and weights
LAYERS = (
    ("resnet18 conv1 7x7/2", 3, 224, 64, 7, 2, 1, 8),
    ("resnet18 conv2 3x3", 64, 56, 64, 3, 1, 1, 8),
    ("resnet18 conv3 3x3", 128, 28, 128, 3, 1, 1, 8),
    ("resnet18 conv4 3x3", 256, 14, 256, 3, 1, 1, 8),
    ("resnet18 conv4 3x3, int6", 256, 14, 256, 3, 1, 1, 6),
    ("resnet18 conv5 3x3", 512, 7, 512, 3, 1, 1, 8),
    ("resnet18 shortcut 1x1/2", 128, 28, 256, 1, 2, 1, 8),
    ("resnet18 dense", 512, 1, 1000, 1, 1, 1, 8),
    ("resnet18 dense, int6", 512, 1, 1000, 1, 1, 1, 6),
    ("mobilenet depthwise 3x3", 128, 28, 128, 3, 1, 128, 8),
    ("mobilenet pointwise", 128, 28, 128, 1, 1, 1, 8),
)
QUICK = ("resnet18 conv5 3x3", "resnet18 dense")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.name} for the repository")


def run(quick: bool, keep: bool = False) -> dict[str, Any]:
    clock = _clock_hertz()
    resources, uses = _resources(quick)
    report = {"source": core_hash(), "clock_hertz": clock, **resources}
    report |= _simulated(quick, clock, uses)
    if keep:
        KEPT.write_text(json.dumps(report, indent=1) + "\n")
    return report


def _simulated(quick: bool, clock: float, uses: list[Use]) -> dict[str, Any]:
    try:
        environment = simulated_environment(1)
    except DriverMissing as error:
        return {"simulation": f"not run: {error}"}
    session = FpgaRuns(CoreEngine(Place(environment, 0, OVERLAY)), check_ratio=1.0)
    layers = [
        _row(*counted, clock)
        for layer in LAYERS
        if not quick or layer[0] in QUICK
        for counted in _measure(session, layer[0], _layer_program(*layer[1:]))
    ]
    nets = [_net_row(session, net, clock, uses) for net in NETS[: 1 if quick else None]]
    session.close()
    return {"layers": layers, "nets_estimated": nets}


def _resources(quick: bool) -> tuple[dict[str, Any], list[Use]]:
    if quick:
        return {"synthesis": "not run: --quick"}, []
    try:
        uses = synthesise()
    except DriverMissing as error:
        return {"synthesis": f"not run: {error}"}, []
    return {"synthesis": version(), "resources": [asdict(use) for use in uses]}, uses


def _measure(session: FpgaRuns, name: str, program: Program) -> list[tuple[str, int, Counters]]:
    """Each layer of a program: its MACs and what the core counted. Raises `ValueError` where the
    core's answer is not the host's."""
    bound = (1 << program.precisions[0] - 1) - 1
    x = np.random.default_rng(1).integers(-bound, bound + 1, program.input_shape)
    data = x.astype("<i4").tobytes()
    session.load(name, program)
    if session.run(name, data) != HostProgram(program, LIMIT_BYTES).run(data):
        raise ValueError("the core's answer is wrong")
    found = session.layer_counters(name)
    session.unload(name)
    return [(name, layer.geometry.macs, counters) for layer, counters in found]


def _row(name: str, macs: int, counters: Counters, clock: float) -> dict[str, Any]:
    return {
        "layer": name,
        "macs": macs,
        "cycles": counters.cycles,
        "macs_per_cycle": macs / counters.cycles,
        "array_busy_percent": 100 * counters.steps / counters.cycles,
        "read_bytes": counters.read_bytes,
        "written_bytes": counters.written_bytes,
        "estimated_ms": 1e3 * counters.cycles / clock,
    }


def _net_row(
    session: FpgaRuns, net: tuple[str, int, int, int, int], clock: float, uses: list[Use]
) -> dict[str, Any]:
    name, *shape = net
    program, macs = convolutional_net(*shape)
    layers = _measure(session, name, program)
    cycles = sum(counters.cycles for _, _, counters in layers)
    watts = estimate_watts(uses, clock) if uses else None
    return {
        "net": name,
        "layers_on_core": len(layers),
        "macs": macs,
        "macs_on_core": sum(count for _, count, _ in layers),
        "cycles": cycles,
        "macs_per_cycle": macs / cycles,
        "estimated_images_per_second": clock / cycles,
        "estimated_watts": watts,
    }


def _layer_program(
    channels: int, side: int, filters: int, kernel: int, stride: int, groups: int, bits: int
) -> Program:
    """A convolution of random numbers, shifted to eight bits and rectified."""
    bound = (1 << bits - 1) - 1
    shape = (filters, channels // groups, kernel, kernel)
    weights = np.random.default_rng(2).integers(-bound, bound + 1, shape, dtype=np.int32)
    output = (1, filters, *(((side + 2 * (kernel // 2) - kernel) // stride + 1,) * 2))
    attributes = {"padding": (kernel // 2,) * 2, "strides": (stride,) * 2, "groups": groups}
    steps = (
        Step("conv2d", (0, 1), (2,), attributes),
        Step("cvm_right_shift", (2,), (3,), {"precision": 8, "shift_bit": 10}),
        Step("relu", (3,), (4,), {}),
    )
    shapes = ((1, channels, side, side), shape, output, output, output)
    return Program(shapes, (bits, bits, 32, 8, 8), {1: weights}, steps, (4,))


def _clock_hertz() -> float:
    """Of the overlay for the board, as ``hw-configs`` describes it."""
    for product in load_products():
        if product.name == BOARD and product.overlay:
            return product.overlay.clock_hertz
    raise ValueError(f"hw-configs has no overlay for {BOARD}")
