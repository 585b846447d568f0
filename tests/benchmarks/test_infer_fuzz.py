"""The fuzz of inference: what is drawn, that it finds what is wrong, and a bounded part of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import infer_fuzz
from benchmarks.infer_fuzz import backends, campaign, host_gpu
from benchmarks.infer_fuzz.backends import Backend, expand
from benchmarks.infer_fuzz.block import Tally, judge, run_block
from benchmarks.infer_fuzz.campaign import Campaign, Order, run_campaign
from benchmarks.infer_fuzz.models import draw_model, draw_models
from drivers.cpu.infer import InferRuns
from drivers.program import Program
from node.spec.cvm.operators import operators_of
from tests.support.isas import ISAS, skip_without

SEED = 4
MEMORY_LIMIT_BYTES = 1 << 28


def test_a_seed_draws_the_same_model() -> None:
    first, second = draw_model((SEED, 0, 3)), draw_model((SEED, 0, 3))
    assert first.program.steps == second.program.steps
    assert np.array_equal(first.inputs[0], second.inputs[0])
    assert draw_model((SEED, 0, 4)).program.steps != first.program.steps


def test_every_operator_is_drawn_and_every_precision_kept() -> None:
    drawn: Counter[str] = Counter()
    for model in (draw_model((SEED, 0, n), 90) for n in range(50)):
        program = model.program
        drawn.update(step.op for step in program.steps)
        for head, values in zip(program.heads, model.expected[0], strict=True):
            limit = (1 << (program.precisions[head] - 1)) - 1
            assert np.abs(values.astype(np.int64)).max() <= max(limit, 1)
    every = operators_of(extended=True).keys() - {"cvm_left_shift"}
    assert every <= drawn.keys()


@pytest.mark.parametrize("isa", ISAS)
def test_no_case_differs_on_an_instruction_set(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without(isa)
    monkeypatch.setattr(campaign, "MODELS_PER_BLOCK", 15)
    found = campaign._run_order(SEED, Order(1, isa, ("cpu:0",)))
    assert found["told"] == [] and found["mismatches"] == 0
    assert sum(found["cases"].values()) > 700
    assert found["refused"] == {}


class Wrong:
    """The processor's session, but ReLU lets −1 through."""

    def __init__(self) -> None:
        self._runs = InferRuns(MEMORY_LIMIT_BYTES)
        self._program: Program | None = None

    def load(self, model_id: str, program: Program) -> None:
        self._program = program
        self._runs.load(model_id, program)

    def unload(self, model_id: str) -> None:
        self._runs.unload(model_id)

    def run(self, model_id: str, data: bytes) -> bytes:
        assert self._program is not None
        answer = np.frombuffer(self._runs.run(model_id, data), "<i4").copy()
        start = 0
        for head in self._program.heads:
            size = int(np.prod(self._program.shapes[head]))
            if any(s.op == "relu" and head in s.outputs for s in self._program.steps):
                answer[start] -= 1
            start += size
        return answer.tobytes()

    def close(self) -> None:
        self._runs.close()


def test_what_differs_is_found_and_made_small() -> None:
    session, tally = Wrong(), Tally()
    for model in find_models_with("relu"):
        judge(tally, "wrong", session, model)
        break
    session.close()
    assert tally.mismatches >= 1
    told = tally.told[0]
    assert told["backend"] == "wrong" and told["operator"] == "relu"
    assert told["steps"][-1]["op"] == "relu"
    assert len(told["heads"]) == 1
    needed = {number for step in told["steps"] for number in step["inputs"]}
    assert all(
        needed & set(step["outputs"]) or told["heads"][0] in step["outputs"]
        for step in told["steps"]
    )


def find_models_with(operator: str) -> Iterator[Any]:
    """Models of the official form that show the operator's output."""
    for model in draw_models(SEED, 2, 100):
        if operator in model.operators:
            yield model


def test_a_stopped_campaign_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run_order(seed: int, order: Order) -> dict[str, Any]:
        ran.append(order.key)
        told = [{"seed": [seed]}] if order.isa == "avx2" else []
        counts = {"cases": {"relu": 10}, "refused": {}, "mismatches": len(told), "told": told}
        return counts

    monkeypatch.setattr(campaign, "_run_order", run_order)
    state = tmp_path / "state.json"
    first = run_campaign(Campaign(1, 20, ("cpu:0",), 1, state))
    assert ran == ["0 baseline", "0 avx2"]
    whole = run_campaign(Campaign(1, 50, ("cpu:0",), 1, state))
    assert ran[2:] == ["0 avx512", "0 avx512vnni", "1 baseline"]
    assert (first["total"], whole["total"], whole["mismatches"]) == (20, 50, 1)
    assert json.loads(state.read_text())["cases"] == {"relu": 50}
    anew = run_campaign(Campaign(2, 10, ("cpu:0",), 1, state))
    assert anew["total"] == 10


def test_a_child_that_breaks_is_a_mismatch() -> None:
    found = campaign._run_order(SEED, Order(0, "", ("abacus:0",)))
    assert found["mismatches"] == 1
    assert "abacus" in found["told"][0]["broke"]


def test_a_child_that_hangs_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "BLOCK_SECONDS", 0.001)
    found = campaign._run_order(SEED, Order(0, "", ("cpu:0",)))
    assert found["mismatches"] == 1
    assert found["told"][0]["broke"] == "no answer in 0.001 s"


def test_a_campaign_without_cases_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_order(seed: int, order: Order) -> dict[str, Any]:
        return {"cases": {}, "refused": {"cpu:0": 200}, "mismatches": 0, "told": []}

    monkeypatch.setattr(campaign, "_run_order", run_order)
    found = run_campaign(Campaign(1, 20, ("cpu:0",), 1, tmp_path / "state.json"))
    assert (found["total"], len(found["done"])) == (0, campaign.MOST_EMPTY)


def test_a_machine_without_a_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_devices", list)
    with pytest.raises(ValueError, match="no device here infers"):
        infer_fuzz.run(quick=True)


def test_other_devices_are_fuzzed_once_a_block() -> None:
    orders = campaign._list_orders(Campaign(1, 1, ("cpu:0", "opencl:0"), 1, Path()))
    assert [next(orders) for _ in range(5)][-1] == Order(0, "", ("opencl:0",))
    assert [b.name for b in expand(["cpu:0", "opencl:0"])] == [
        *("cpu:0 1 threads", "cpu:0 2 threads", "cpu:0 3 threads"),
        "opencl:0",
    ]


def test_threads_of_the_processor_agree() -> None:
    tally = run_block(SEED, 3, 4, [Backend("cpu:0", threads) for threads in (1, 2)])
    assert tally.mismatches == 0 and sum(tally.cases.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("target", host_gpu.find_targets())
def test_no_case_differs_on_the_gpus_kernels(target: str) -> None:
    tally = run_block(SEED, 5, 40, [Backend(target)])
    assert tally.mismatches == 0 and not tally.refused
    assert sum(tally.cases.values()) > 500
