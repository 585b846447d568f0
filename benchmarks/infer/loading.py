"""How long it takes until a net answers: loading it, and loading it for one answer alone.

All files are in the page cache. OpenVINO is shown as it compiles and with its own cache;
onnxruntime from the quantised file and from one that it has optimised before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.infer.engines import Runner, onnxruntime_peer, openvino_peer
from benchmarks.infer.engines.base import Images
from benchmarks.infer.engines.onnxruntime_peer import SessionRunner
from benchmarks.infer.engines.openvino_peer import VinoRunner
from benchmarks.infer.engines.ours import Ours
from benchmarks.infer.targets import Row, rate
from benchmarks.infer.timing import take_turns
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import keep, peer_file
from benchmarks.zoo.weights import random_images

THREADS = 1
AGAINST_ONNXRUNTIME, AGAINST_OPENVINO, ANEW = 10.0, 100.0, 1 / 0.45
#: The net that the targets name.
JUDGED = "resnet-152"

Load = Callable[[], Runner]


def measure_loading(net: Net, budget_seconds: float) -> list[dict[str, Any]]:
    """A row for each way of loading: alone, and with one run."""
    loads = find_loads(net, random_images(net.shape, 1, 1))
    turns: dict[str, Callable[[], object]] = {}
    for name, load in loads.items():
        turns[f"{name}: load"] = functools.partial(_load, load)
        turns[f"{name}: load and run"] = functools.partial(_answer, load)
    rows = []
    for name, times in take_turns(turns, budget_seconds).items():
        engine, _, what = name.partition(": ")
        rows.append({"net": net.name, "engine": engine, "what": what, **asdict(times)})
    return rows


def find_loads(net: Net, images: Images) -> dict[str, Load]:
    """Ways to load the net, by name; what they read is made."""
    ours = Ours()
    ours.prepare(net, 1)
    loads: dict[str, Load] = {"farmctl": lambda: ours.load(net, images, THREADS)}
    if not (onnxruntime := onnxruntime_peer.INT8).missing():
        plain = onnxruntime.file(net)
        optimised = optimise(net, plain)
        loads["onnxruntime"] = lambda: SessionRunner(plain, images, THREADS)
        loads["onnxruntime optimised"] = lambda: SessionRunner(optimised, images, THREADS)
    if not (openvino := openvino_peer.INT8).missing():
        path, cache = openvino.file(net), peer_file(net, "openvino.cache")
        loads["openvino"] = lambda: VinoRunner(path, images, THREADS)
        loads["openvino cached"] = lambda: VinoRunner(path, images, THREADS, cache)
    return loads


def optimise(net: Net, path: Path) -> Path:
    """onnxruntime's graph as it is after its own optimisations."""

    def save(made: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(made)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    return keep(peer_file(net, f"optimised-{path.name}"), save)


def rate_loading(rows: list[dict[str, Any]]) -> list[Row]:
    """Ratios of CPU time for each net; those of the judged net have a target."""
    found = {(row["net"], row["engine"], row["what"]): row["cpu_ms_least"] for row in rows}
    lines = []
    for net in dict.fromkeys(row["net"] for row in rows):
        for what, peer, least in (
            ("load", "onnxruntime", AGAINST_ONNXRUNTIME),
            ("load", "onnxruntime optimised", None),
            ("load", "openvino", AGAINST_OPENVINO),
            ("load", "openvino cached", None),
            ("load and run", "onnxruntime", ANEW),
        ):
            ours, theirs = found[net, "farmctl", what], found.get((net, peer, what))
            if theirs is not None:
                least = least if net == JUDGED else None
                lines.append(rate(f"{net}, {what}", ours, peer, theirs, least))
    return lines


def _load(load: Load) -> None:
    load().close()


def _answer(load: Load) -> None:
    runner = load()
    runner.run()
    runner.close()
