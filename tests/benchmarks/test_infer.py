"""The comparison of inference engines: turns, ratios, and that a wrong engine is not timed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.infer import comparison, speed, timing
from benchmarks.infer.targets import rate_speed
from benchmarks.zoo.catalogue import find


def test_engines_take_turns_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)
    order: list[str] = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    times = timing.take_turns(runs, 0.0)
    assert order == ["a", "b"] * (1 + timing.LEAST_ROUNDS)
    assert times["a"].rounds == timing.LEAST_ROUNDS
    assert 0 <= times["a"].cpu_ms_least <= times["a"].cpu_ms_median


def test_ratio_is_against_the_best_peer() -> None:
    rows = [
        row("resnet-50", 1, "farmctl", 10.0),
        row("resnet-50", 1, "onnxruntime", 14.0),
        row("resnet-50", 1, "openvino", 12.0),
        row("resnet-50", 1, "onnxruntime fp32", 5.0),
        row("resnet-50", 1, "farmctl official form", 20.0),
        row("resnet-50", 1, "cvm-runtime", 120.0),
    ]
    best, second, official = rate_speed(rows)
    assert (second["ratio"], second["met"]) == (0.6, False)
    assert (best["peer"], best["ratio"], best["at_least"], best["met"]) == (
        *("openvino", pytest.approx(1.2), 1.07),
        True,
    )
    assert (official["peer"], official["ratio"], official["met"]) == ("cvm-runtime", 6.0, False)


def test_two_threads_are_judged_by_the_clock_on_the_wall() -> None:
    rows = [row("resnet-152", 1, "farmctl", 50.0), row("resnet-152", 2, "farmctl", 25.0)]
    (line,) = rate_speed(rows)
    assert (line["ratio"], line["at_least"], line["met"]) == (2.0, 1.8, True)


def row(net: str, threads: int, engine: str, milliseconds: float) -> dict[str, Any]:
    wall = {"wall_ms_least": milliseconds}
    cpu = {"cpu_ms_least": milliseconds * threads}
    return {"net": net, "threads": threads, "batch": 1, "engine": engine, **cpu, **wall}


def test_our_engine_is_not_timed_when_it_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        def run(self) -> np.ndarray[Any, Any]:
            return np.array([[1, 2]])

        def close(self) -> None: ...

    monkeypatch.setattr(speed, "expected_scores", lambda *given: np.array([[1, 3]]))
    with pytest.raises(RuntimeError, match="nin: farmctl differs from the reference"):
        speed.check(find("nin"), np.zeros((1, 1), np.float32), {"farmctl": Fixed()})


def test_absent_peer_is_told_and_unknown_one_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FARMCTL_CVM_RUNTIME", raising=False)
    engines, absent = comparison.find_engines(("farmctl", "cvm-runtime"))
    assert [each.name for each in engines] == ["farmctl"]
    assert absent == [{"engine": "cvm-runtime", "reason": "FARMCTL_CVM_RUNTIME is not set"}]
    with pytest.raises(ValueError, match="no engine mxnet"):
        comparison.find_engines(("mxnet",))
