"""Equal requests, deadlines, ranks, and engines that fail, hang or are wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from node.errors import EngineUnavailable, ModelFault
from node.inference import Answer, CrossCheckedEngine, InferEngine, ReferenceEngine
from node.models.loading import GraphLoader
from tests.node.synapse.go_client import GoClient, LogicError, RuntimeError_
from tests.node.synapse.running import Running, running, until
from tests.node.workshop import dense_model

DATA = bytes(range(1, 7))
RESULT = bytes.fromhex("0000005b000000030000000f")


class Gated:
    """The reference, which computes when it is let."""

    def __init__(self, loader: GraphLoader) -> None:
        self._inner = ReferenceEngine(loader)
        self.open = threading.Event()
        self.asked: list[bytes] = []
        self.fails: Callable[[], None] = lambda: None

    def run(self, model: str, data: bytes) -> Answer:
        self.asked.append(data)
        assert self.open.wait(20)
        self.fails()
        return self._inner.run(model, data)


class Gates:
    """Makes an engine for each form; the official one is of interest."""

    def __init__(self) -> None:
        self.made: list[Gated] = []

    def __call__(self, loader: GraphLoader) -> InferEngine:
        self.made.append(Gated(loader))
        return self.made[-1]

    @property
    def gate(self) -> Gated:
        return self.made[0]


def ask(served: Running, model: bytes, data: bytes) -> bytes:
    with GoClient(served.port) as client:
        return client.infer_by_content(model, data)


def test_equal_requests_of_many_nodes_run_once(tmp_path: Path) -> None:
    gates = Gates()
    with running(tmp_path, engine=gates) as served, ThreadPoolExecutor(20) as nodes:
        model = served.storage.put_model(*dense_model())
        asked = [nodes.submit(ask, served, model, DATA) for _ in range(20)]
        joined = 'synapse_results_total{source="joined"}'
        until(lambda: served.count(joined) == 19, "the others join")
        gates.gate.open.set()
        assert [each.result(10) for each in asked] == [RESULT] * 20
        assert len(gates.gate.asked) == 1


def test_a_late_result_is_an_error_first_and_an_answer_then(tmp_path: Path) -> None:
    gates = Gates()
    with running(tmp_path, engine=gates, deadline_seconds=0.2) as served:
        model = served.storage.put_model(*dense_model())
        for _ in range(2):
            with pytest.raises(RuntimeError_, match=r"no result within 0\.2 s"):
                ask(served, model, DATA)
        gates.gate.open.set()
        until(lambda: ask_softly(served, model) == RESULT, "it is worked on still")
        assert len(gates.gate.asked) == 1
        assert served.count('synapse_requests_total{outcome="late",type="content"}') >= 2


def ask_softly(served: Running, model: bytes) -> bytes:
    try:
        return ask(served, model, DATA)
    except RuntimeError_:
        return b""


def test_what_waits_is_bounded_and_said(tmp_path: Path) -> None:
    gates = Gates()
    bounds = {"max_waiting": 3, "deadline_seconds": 5.0}
    with running(tmp_path, engine=gates, **bounds) as served, ThreadPoolExecutor(3) as nodes:
        model = served.storage.put_model(*dense_model())
        asked = [nodes.submit(ask, served, model, bytes((n,)) * 6) for n in range(3)]
        until(lambda: served.service.describe()["waiting"] == 3, "three wait")
        with pytest.raises(RuntimeError_, match="3 requests are waiting"):
            ask(served, model, DATA)
        gates.gate.open.set()
        assert all(len(each.result(10)) == 12 for each in asked)
        assert ask(served, model, DATA) == RESULT


def test_inputs_that_are_worked_on_are_bounded_in_bytes(tmp_path: Path) -> None:
    """Though their nodes have been answered already, that it takes too long."""
    gates = Gates()
    bounds = {"deadline_seconds": 0.2, "max_waiting_bytes": 50_000}
    with running(tmp_path, engine=gates, **bounds) as served:
        model = served.storage.put_model(*dense_model())
        for each in (b"1", b"2"):
            with pytest.raises(RuntimeError_, match="still worked on"):
                ask(served, model, each * 20_000)
        with pytest.raises(RuntimeError_, match="2 requests are waiting"):
            ask(served, model, b"3" * 20_000)
        gates.gate.open.set()
        until(lambda: served.service.describe()["waiting"] == 0, "it ends")
        assert len(ask(served, model, b"3" * 20_000)) == 12


def test_first_callers_go_first_even_with_equal_requests_and_prices_wait_for_none(
    tmp_path: Path,
) -> None:
    gates = Gates()
    bounds = {"threads": 1, "first": ("127.0.0.1/32",), "allow": ("127.0.0.0/8",)}
    order: list[str] = []

    def ask_from(host: str, name: str, data: bytes) -> None:
        client = GoClient(served.port)
        client._connection.source_address = (host, 0)
        with client:
            client.infer_by_content(model, data)
        order.append(name)

    with running(tmp_path, engine=gates, **bounds) as served, ThreadPoolExecutor(4) as nodes:
        model = served.storage.put_model(*dense_model())
        other = served.storage.put_model(*dense_model_of_another())
        began: list[Future[None]] = [nodes.submit(ask_from, "127.0.0.2", "running", DATA)]
        until(lambda: len(gates.gate.asked) == 1, "one runs")
        for number, (host, name, byte) in enumerate(
            [("127.0.0.2", "usual", 2), ("127.0.0.2", "equal", 3), ("127.0.0.1", "first", 3)],
            start=2,
        ):
            began.append(nodes.submit(ask_from, host, name, bytes((byte,)) * 6))
            until(lambda n=number: served.service.describe()["waiting"] == n, "it waits")
        with GoClient(served.port) as client:
            assert client.gas(other) == 189
        assert order == []
        gates.gate.open.set()
        for each in began:
            each.result(10)
    assert [data[0] for data in gates.gate.asked] == [1, 3, 2]


def dense_model_of_another() -> tuple[bytes, bytes]:
    symbol, parameters = dense_model()
    return symbol.replace(b'"fc"', b'"fd"'), parameters


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (EngineUnavailable("the device is gone"), "the device is gone"),
        (EngineUnavailable("cvm kernel logic error"), "cvm kernel runtime error: cvm kernel logic"),
        (RuntimeError("a bug"), "internal: RuntimeError"),
        (MemoryError(), "internal: MemoryError"),
    ],
)
def test_no_failure_of_an_engine_is_a_logic_error(
    tmp_path: Path, failure: Exception, text: str
) -> None:
    gates = Gates()
    with running(tmp_path, engine=gates) as served:
        model = served.storage.put_model(*dense_model())
        gates.gate.open.set()

        def fail() -> None:
            raise failure

        gates.gate.fails = fail
        with pytest.raises(RuntimeError_, match=text):
            ask(served, model, DATA)
        gates.gate.fails = lambda: None
        assert ask(served, model, DATA) == RESULT  # nothing of it was kept


class Lying:
    """Claims a fault, or gives another result."""

    def __init__(self, loader: GraphLoader, claims: bool) -> None:
        self._inner, self._claims = ReferenceEngine(loader), claims

    def run(self, model: str, data: bytes) -> Answer:
        if self._claims:
            raise ModelFault("it is at fault", logic=True, device="liar")
        right = self._inner.run(model, data).output
        return Answer(bytes(len(right)), "liar")


@pytest.mark.parametrize("claims", [True, False])
def test_a_device_is_not_believed(tmp_path: Path, claims: bool) -> None:
    reported: list[tuple[str, str]] = []

    def make(loader: GraphLoader) -> InferEngine:
        return CrossCheckedEngine(
            Lying(loader, claims),
            ReferenceEngine(loader),
            1.0,
            lambda model, device, what: reported.append((device, what)),
        )

    with running(tmp_path, engine=make) as served:
        model = served.storage.put_model(*dense_model())
        assert ask(served, model, DATA) == RESULT
    assert [device for device, _ in reported] == ["liar"]


def test_a_result_taken_back_is_computed_again(tmp_path: Path) -> None:
    """What only a device that was wrong stands for is not answered from the cache."""

    class Turning:
        """Wrong at first, as if its memory had failed."""

        def __init__(self, loader: GraphLoader) -> None:
            self._inner = ReferenceEngine(loader)
            self.is_wrong = True

        def run(self, model: str, data: bytes) -> Answer:
            right = self._inner.run(model, data).output
            return Answer(bytes(len(right)) if self.is_wrong else right, "turning")

    made: list[Turning] = []

    def make(loader: GraphLoader) -> InferEngine:
        made.append(Turning(loader))
        return made[-1]

    with running(tmp_path, engine=make) as served:
        model = served.storage.put_model(*dense_model())
        inputs = (DATA, DATA + bytes(20_000))  # the second is known by its digest
        for _ in range(2):
            assert [ask(served, model, each) for each in inputs] == [bytes(12)] * 2
            made[0].is_wrong = False
        assert served.count('synapse_results_total{source="cache"}') == 2
        served.plain.distrust("turning")
        for each in inputs:
            until(lambda data=each: ask(served, model, data) == RESULT, "it is computed again")


def test_a_fault_is_told_again_each_time(tmp_path: Path) -> None:
    with running(tmp_path) as served, GoClient(served.port) as client:
        model = served.storage.put_model(*dense_model())
        broken = served.storage.put_input(b"\x93NUMPY nothing")
        for _ in range(3):
            with pytest.raises(LogicError):
                client.infer_by_hash(model, broken)
        assert served.count('synapse_requests_total{outcome="logic_error",type="hash"}') == 3


def test_stopping_answers_who_waits(tmp_path: Path) -> None:
    gates = Gates()
    with ThreadPoolExecutor(1) as nodes:
        with running(tmp_path, engine=gates) as served:
            model = served.storage.put_model(*dense_model())
            asked = nodes.submit(ask, served, model, DATA)
            until(lambda: len(gates.gate.asked) == 1, "one runs")
            asked.add_done_callback(lambda _: gates.gate.open.set())
        with pytest.raises(RuntimeError_, match="the service stops"):
            asked.result(10)
