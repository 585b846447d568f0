"""Classes of devices against each other, the reference above them, and taking results back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.errors import EngineUnavailable, ModelFault, TooLarge
from node.inference import Answer, CheckCounts, CrossCheckedEngine, Inference, ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.vm.context import InferRuntimeError
from tests.node.test_inference import EXPECTED, VALUES, packed
from tests.node.workshop import dense_model

GPU, CPU = "rig/cuda:0", "rig/cpu:0"
RIGHT = packed(EXPECTED).to_bytes(32, "big")[:12]


class TwoClasses:
    """A GPU that answers first and a CPU for the second opinion, right unless told otherwise."""

    def __init__(self, loader: GraphLoader) -> None:
        self._reference = ReferenceEngine(loader)
        self.lies: dict[str, bytes | Exception] = {}
        self.has_cpu = True
        self.runs = 0
        self.meanwhile: Callable[[], None] = lambda: None
        """While a second opinion is asked for."""

    def run(self, model: str, data: bytes) -> Answer:
        self.runs += 1
        return self._say(GPU, model, data)

    def run_apart(self, model: str, data: bytes, device: str) -> Answer:
        assert device == GPU
        self.meanwhile()
        if not self.has_cpu:
            raise EngineUnavailable("no other class")
        return self._say(CPU, model, data)

    def _say(self, device: str, model: str, data: bytes) -> Answer:
        lie = self.lies.get(device)
        if isinstance(lie, Exception):
            raise lie
        return Answer(lie or self._reference.run(model, data).output, device)


class Checked:
    def __init__(self, home: Path) -> None:
        loader = GraphLoader(DirectoryStorage(home))
        self.model = loader.storage.put_model(*dense_model())
        self.classes = TwoClasses(loader)
        self.reports: list[tuple[str, str]] = []
        reference = ReferenceEngine(loader)
        self.engine = CrossCheckedEngine(
            self.classes, reference, 0.0, self._report, self.classes, 1.0
        )
        self.inference = Inference(loader, self.engine)

    def _report(self, model: str, device: str, what: str) -> None:
        self.reports.append((device, what))
        self.inference.distrust(device)

    def ask(self, data: bytes = VALUES.tobytes()) -> bytes:
        return self.inference.run(self.model, data, 0)


@pytest.fixture
def checked(tmp_path: Path) -> Iterator[Checked]:
    made = Checked(tmp_path)
    yield made
    made.inference.close()


def test_classes_that_agree_are_believed(checked: Checked) -> None:
    assert checked.ask() == RIGHT and checked.reports == []
    assert checked.engine.counts() == {
        GPU: CheckCounts(by_class=1),
        CPU: CheckCounts(by_class=1),
    }


@pytest.mark.parametrize("liar", [GPU, CPU])
def test_where_they_differ_the_reference_decides(checked: Checked, liar: str) -> None:
    checked.classes.lies[liar] = bytes(12)
    assert checked.ask() == RIGHT
    assert checked.reports == [(liar, "gave a wrong result")]
    counts = checked.engine.counts()
    assert {device: each.mismatches for device, each in counts.items()} == {
        GPU: liar == GPU,
        CPU: liar == CPU,
    }


def test_both_may_be_wrong(checked: Checked) -> None:
    checked.classes.lies = {GPU: bytes(12), CPU: ModelFault("so I say", device=CPU)}
    assert checked.ask() == RIGHT
    assert {device for device, _ in checked.reports} == {GPU, CPU}


def test_without_another_class_the_answer_stands(checked: Checked) -> None:
    checked.classes.has_cpu = False
    assert checked.ask() == RIGHT
    assert checked.engine.counts() == {}


def test_what_is_too_large_for_the_devices_is_the_references(checked: Checked) -> None:
    checked.classes.lies[GPU] = TooLarge("no message holds it")
    assert checked.ask() == RIGHT
    assert (checked.reports, checked.engine.counts()) == ([], {})
    checked.inference.distrust("reference")
    assert checked.inference.retracted == 0  # it is checked


def test_what_a_wrong_device_said_before_is_taken_back_and_computed_again(
    checked: Checked,
) -> None:
    classes, inference = checked.classes, checked.inference
    classes.has_cpu = False
    inputs = [bytes([n, 1, 2, 3, 4, 5]) for n in range(5)]
    rights = [checked.ask(each) for each in inputs[:4]]
    classes.lies[GPU] = bytes(12)
    assert checked.ask(inputs[4]) == bytes(12)  # unchecked, and wrong
    assert len(inference.take_fresh()) == 5
    classes.has_cpu, runs = True, classes.runs
    assert checked.ask() == RIGHT
    # The reference has answered for it since, for each of its results.
    again = [checked.ask(each) for each in inputs]
    assert again[:4] == rights and again[4] != bytes(12)
    assert classes.runs - runs >= 6
    inference.close()  # the computing again has ended, too
    counts = inference.counts()
    assert (counts.retracted, counts.corrected) == (5, 1)
    assert set(inference.take_fresh().values()) >= set(again)


def test_what_a_device_said_before_it_was_found_wrong_is_not_kept_after(checked: Checked) -> None:
    classes, inference = checked.classes, checked.inference
    classes.has_cpu = False
    classes.meanwhile = lambda: inference.distrust(GPU)
    with pytest.raises(InferRuntimeError, match="found wrong meanwhile"):
        checked.ask()
    assert inference.peek(checked.model, VALUES.tobytes()) is None
    assert inference.take_fresh() == {}
    classes.meanwhile = lambda: None
    assert checked.ask() == RIGHT


def test_a_result_of_another_length_is_none(checked: Checked) -> None:
    checked.classes.has_cpu = False
    for length in (11, 13, 24):
        checked.classes.lies[GPU] = bytes(length)
        with pytest.raises(InferRuntimeError, match=f"{length} bytes of 12"):
            checked.ask()
        assert checked.inference.peek(checked.model, VALUES.tobytes()) is None


def test_nothing_is_known_of_a_device_that_gave_nothing(checked: Checked) -> None:
    checked.ask()
    checked.inference.distrust("rig/cuda:7")
    assert checked.inference.retracted == 0
