"""Models of 6-bit weights beside those of 8: how large they are, and how fast."""

from __future__ import annotations

import zlib
from typing import Any

from benchmarks.infer.engines import INT6_ENGINE
from benchmarks.infer.engines.ours import Ours
from benchmarks.infer.speed import Setting, measure_net
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.integers import EXTENSION, INT6, Variant, model_folder, read_graph
from node.models.sizes import measure_parameters


def measure_int6(net: Net, budget_seconds: float) -> list[dict[str, Any]]:
    """A row for each width. Bytes: of the file as it is, of its weights packed to their bits
    (as FPGA boards hold them), and of the file compressed."""
    engines = [Ours(), Ours(INT6_ENGINE, INT6)]
    times = list(measure_net(net, engines, Setting(1, 1), budget_seconds))
    return [
        {"net": net.name, "weight_bits": variant.weight_bits, **_weigh(net, variant), **_pick(row)}
        for variant, row in zip((EXTENSION, INT6), times, strict=True)
    ]


def _weigh(net: Net, variant: Variant) -> dict[str, int]:
    content = (model_folder(net, variant) / "params").read_bytes()
    packed = measure_parameters(read_graph(net, variant)).packed_bytes
    compressed = len(zlib.compress(content, 1))
    return {"file_bytes": len(content), "packed_bytes": packed, "zlib_bytes": compressed}


def _pick(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("cpu_ms_least", "cpu_ms_median", "exact")}
