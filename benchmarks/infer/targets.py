"""The figures that the engine must show, against what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmarks.infer.engines import INT8_PEERS, OFFICIAL_ENGINE

Row = dict[str, Any]

#: Times as fast as the best int8 peer.
AGAINST_BEST: Mapping[str, float] = {
    "vgg16": 1.4,
    "vgg19": 1.4,
    "squeezenet": 1.25,
    "inception-v3": 1.1,
    "inception-bn": 1.1,
    "resnext-101": 1.1,
    "caffenet": 1.1,
    "resnet-50": 1.07,
    "resnet-152": 1.02,
    "nin": 1.02,
}
#: Times as fast as cvm-runtime, on its own form of the models.
AGAINST_OFFICIAL = 7.0
TWO_THREADS = 1.8
#: Our engine on the extension form of the models, and on the official one.
OUR_FORMS = ("farmctl", OFFICIAL_ENGINE)


def rate_speed(rows: Iterable[Row]) -> list[Row]:
    """One line a target: least CPU time of one thread, least wall time of two."""
    found = {(r["net"], r["threads"], r["batch"], r["engine"]): r for r in rows}
    settings = sorted({key[:3] for key in found})
    lines = [line for setting in settings for line in _rate_setting(found, *setting)]
    return lines + list(_rate_threads(found))


def rate(target: str, ours: float, peer: str, theirs: float, at_least: float | None) -> Row:
    """How many times as fast as the peer; ``at_least`` None is shown, not judged."""
    ratio = theirs / ours
    met = None if at_least is None else ratio >= at_least
    return {
        "target": target,
        "ours_ms": ours,
        "peer": peer,
        "peer_ms": theirs,
        "ratio": ratio,
        "at_least": at_least,
        "met": met,
    }


def cost(row: Row) -> float:
    milliseconds: float = row["cpu_ms_least" if row["threads"] == 1 else "wall_ms_least"]
    return milliseconds


def _rate_setting(
    found: Mapping[tuple[Any, ...], Row], net: str, threads: int, batch: int
) -> Iterator[Row]:
    """Each of our forms against the best peer, and the official one against cvm-runtime."""
    rows = {engine: row for (*key, engine), row in found.items() if key == [net, threads, batch]}
    label = f"{net}, {threads} threads, batch {batch}"
    for name in [each for each in OUR_FORMS if each in rows]:
        ours, shown = cost(rows[name]), f"{label}{name.removeprefix('farmctl')}"
        if peers := [peer for peer in INT8_PEERS if peer in rows]:
            best = min(peers, key=lambda peer: cost(rows[peer]))
            yield rate(shown, ours, best, cost(rows[best]), AGAINST_BEST.get(net))
        if name == OFFICIAL_ENGINE and "cvm-runtime" in rows:
            yield rate(shown, ours, "cvm-runtime", cost(rows["cvm-runtime"]), AGAINST_OFFICIAL)


def _rate_threads(found: Mapping[tuple[Any, ...], Row]) -> Iterator[Row]:
    """Two threads against one, by the wall's clock."""
    for (net, threads, batch, engine), two in found.items():
        one = found.get((net, 1, batch, engine))
        if threads == 2 and engine in OUR_FORMS and one:
            least = TWO_THREADS if (net, batch) == ("resnet-152", 1) else None
            form = engine.removeprefix("farmctl")
            label, took = f"{net}, two threads, batch {batch}{form}", two["wall_ms_least"]
            yield rate(label, took, "itself", one["wall_ms_least"], least)
