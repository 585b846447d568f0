"""A peer that runs the quantised ONNX, in whichever of its forms it is faster at."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.infer.engines.base import Images, Runner, missing_package
from benchmarks.infer.quantised import Kind, qdq_file
from benchmarks.infer.timing import take_turns
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import keep, peer_file, samples

SECONDS = 2.0


@dataclass
class QuantisedPeer:
    """``name`` is its package's too; ``open`` loads a file for images and a number of threads."""

    name: str
    open: Callable[[Path, Images, int], Runner]

    def missing(self) -> str:
        return missing_package(self.name)

    def refuses(self, net: Net, batch: int) -> str:
        return ""

    def prepare(self, net: Net, batch: int) -> None:
        self.file(net)

    def file(self, net: Net) -> Path:
        """Of the form that runs fastest, one image on one thread: found once and written down."""
        kept = keep(peer_file(net, f"{self.name}.json"), functools.partial(self._measure, net))
        found = json.loads(kept.read_text())
        return qdq_file(net, Kind(min(found, key=found.__getitem__)))

    def load(self, net: Net, images: Images, threads: int) -> Runner:
        return self.open(self.file(net), images, threads)

    def _measure(self, net: Net, path: Path) -> None:
        images = samples(net)[:1]
        runners = {kind: self.open(qdq_file(net, kind), images, 1) for kind in Kind}
        times = take_turns({kind: each.run for kind, each in runners.items()}, SECONDS)
        for each in runners.values():
            each.close()
        path.write_text(json.dumps({k: t.cpu_ms_least for k, t in times.items()}))
