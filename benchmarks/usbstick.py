"""What a stick's firmware does: calls, bytes and layers a second, and milliseconds a model.

On this machine behind a terminal, and on QEMU's model of a Cortex-M3 where QEMU and clang are
installed; neither says how fast a real stick is. Known answers come before anything is timed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.base import Capability
from drivers.program import Program
from drivers.selftest import check, infer_program, spread
from drivers.usbstick.image import build_image
from drivers.usbstick.session import StickRuns, StickSession, StickVerifier
from drivers.usbstick.vitals import VitalsFile
from drivers.usbstick.wire import Request
from tests.support.sticks import build, emulated, plugged

EMULATION = ("qemu-system-arm", "clang-19", "ld.lld-19")


def run(quick: bool) -> dict[str, Any]:
    missing = [tool for tool in EMULATION if shutil.which(tool) is None]
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with plugged(build("host", folder)) as stick:
            rows = [measure("this machine", stick.port, folder, quick)]
        if not missing:
            with emulated(build("mps2", folder)) as board:
                rows.append(measure("QEMU mps2-an385", board.port, folder, quick))
    return {"rows": rows, "not_installed": missing, "load_average": load_before}


def measure(where: str, port: str, folder: Path, quick: bool) -> dict[str, Any]:
    session = StickSession(port, VitalsFile("benchmark", folder))
    runs, verifier = StickRuns(session, check_ratio=0), StickVerifier(session)
    program, rounds = infer_program(), 20 if quick else 200
    try:
        check(runs, Capability.INFER)
        verify = median_seconds(lambda: check(verifier, Capability.VERIFY_CUCKOO), rounds)
        call = median_seconds(lambda: session.ask(Request.HELLO), rounds)
        send = median_seconds(lambda: send_anew(session, runs, program), max(5, rounds // 10))
        data = spread(program.input_shape, 251, 127).astype("<i4").tobytes()
        model = median_seconds(lambda: runs.run("net", data), rounds)
    finally:
        session.close()
    return {
        "where": where,
        "calls_per_second": 1 / call,
        "model_bytes_per_second": len(build_image(program).content) / send,
        "layers_per_second": sum(step.op != "flatten" for step in program.steps) / model,
        "infer_milliseconds": model * 1e3,
        "two_proofs_milliseconds": verify * 1e3,
    }


def send_anew(session: StickSession, runs: StickRuns, program: Program) -> None:
    session.ask(Request.MODEL_DROP)
    runs.unload("net")
    runs.load("net", program)


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
