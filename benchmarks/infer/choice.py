"""The faster of a peer's int8 forms for a net, found once and written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks.infer.engines.base import Images, Runner
from benchmarks.infer.quantised import Kind, qdq_file
from benchmarks.infer.timing import take_turns
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import keep, peer_file, samples

SECONDS = 2.0


def choose(net: Net, peer: str, load: Callable[[Kind, Images], Runner]) -> Path:
    """The file of the form that the peer runs fastest, one image on one thread."""

    def measure(path: Path) -> None:
        images = samples(net)[:1]
        runners = {kind: load(kind, images) for kind in Kind}
        times = take_turns({kind: each.run for kind, each in runners.items()}, SECONDS)
        for each in runners.values():
            each.close()
        path.write_text(json.dumps({k: t.cpu_ms_least for k, t in times.items()}))

    found = json.loads(keep(peer_file(net, f"{peer}.json"), measure).read_text())
    return qdq_file(net, Kind(min(found, key=found.__getitem__)))
