"""Inference on the processor: our engine beside onnxruntime, OpenVINO, torch and cvm-runtime.

The nets of the zoo, engines in turn in one process; before anything is timed ours must be equal to
the reference to the bit. Peers that are not installed are reported absent: ``pip install
'farmctl[bench]'``; cvm-runtime is found by ``FARMCTL_CVM_RUNTIME``, the path of its library.
"""

from __future__ import annotations

import argparse
from typing import Any

QUICK_NETS = ("squeezenet", "resnet-50")
SECONDS, QUICK_SECONDS = 12.0, 3.0
PARTS = ("exactness", "speed", "loading", "stream", "int6")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="*", choices=PARTS, help="only these parts")
    parser.add_argument("--nets", nargs="*", help="only these nets of the zoo")
    parser.add_argument("--engines", nargs="*", help="only these engines")
    parser.add_argument("--threads", nargs="*", type=int, help="1 and 2 where left out")
    parser.add_argument("--batches", nargs="*", type=int, help="1 and 8 where left out")


def run(
    quick: bool,
    parts: list[str] | None = None,
    nets: list[str] | None = None,
    engines: list[str] | None = None,
    threads: list[int] | None = None,
    batches: list[int] | None = None,
) -> dict[str, Any]:
    # Not at the top: the registry of benchmarks is read without torch.
    from benchmarks.infer.comparison import Choice, compare

    return compare(
        Choice(
            tuple(parts or PARTS),
            tuple(nets or (QUICK_NETS if quick else ())),
            tuple(engines or ()),
            tuple(threads or (1, 2)),
            tuple(batches or (1, 8)),
            QUICK_SECONDS if quick else SECONDS,
            quick,
        )
    )
