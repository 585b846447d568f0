"""Which worker is asked: where the model lies, unless it pays to spread it."""

from __future__ import annotations

from collections import Counter

import pytest

from farmctl.inference.board import AWAY_SECONDS, RESTED_SECONDS, SILENT_SECONDS, WorkerBoard
from farmctl.inference.messages import WorkerStatus, worker_subject
from farmctl.messages import CacheStatus, DeviceReport, FamilyReport, InventoryReport

A, B, C = "one/cuda:0", "one/cuda:1", "two/cpu:0"
MODEL, OTHER = "ab" * 20, "cd" * 20
EMPTY = CacheStatus(
    policy="gdsf", limit_bytes=1, used_bytes=0, entries=0, hits=0, misses=0, evictions=0
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> WorkerBoard:
    return WorkerBoard(clock)


def tell(board: WorkerBoard, device: str, *models: str, waiting: int = 0, limit: int = 64) -> None:
    board.hear(
        WorkerStatus(
            device=device, models=models, waiting=waiting, limit=limit, slots=8, residency=EMPTY
        )
    )


def inventory(rig: str, *devices: tuple[str, str, str]) -> InventoryReport:
    """Of devices by id, family and product."""
    return InventoryReport(
        rig=rig,
        site="home",
        boot_id="x",
        at=0,
        agent_version="1",
        plan_number=1,
        families=(FamilyReport(family="cuda", status="pass"),),
        devices=tuple(
            DeviceReport(
                id=name, hardware_id=name, family=family, model=product, capabilities=("infer",)
            )
            for name, family, product in devices
        ),
    )


def serve(board: WorkerBoard, device: str, seconds: float, model: str = MODEL) -> None:
    board.begin(device, model)
    board.end(device, model, seconds)


def test_a_request_goes_where_its_model_lies(board: WorkerBoard) -> None:
    assert board.choose(MODEL) is None and board.slots() == 0
    tell(board, A)
    tell(board, B, MODEL)
    assert board.choose(MODEL) == B and board.choose(OTHER) in (A, B)
    assert (len(board.statuses()), board.slots()) == (2, 16)
    assert [each.device for each in board.statuses()] == [A, B]


def test_what_is_on_its_way_counts_as_there(board: WorkerBoard) -> None:
    """So that a burst for a new model does not load it everywhere."""
    tell(board, A)
    tell(board, B)
    first = board.choose(MODEL)
    assert first is not None
    board.begin(first, MODEL)
    assert board.choose(MODEL) == first


def test_a_model_much_asked_for_spreads_and_one_seldom_asked_for_does_not(
    board: WorkerBoard,
) -> None:
    tell(board, A, MODEL)
    tell(board, B)
    went: Counter[str | None] = Counter()
    for _ in range(40):  # none of them answered yet
        device = board.choose(MODEL)
        went[device] += 1
        assert device is not None
        board.begin(device, MODEL)
    assert went[A] > 0 and went[B] > 10
    tell(board, C, OTHER)
    for _ in range(2):
        assert board.choose(OTHER) == C
        board.begin(C, OTHER)
    assert board.choose(OTHER) == C  # two that wait are no reason to load it elsewhere


def test_the_faster_device_gets_more(board: WorkerBoard) -> None:
    for device, seconds in ((A, 0.001), (C, 0.01)):
        tell(board, device, MODEL)
        for _ in range(20):
            serve(board, device, seconds)
    went: Counter[str | None] = Counter()
    for _ in range(33):
        device = board.choose(MODEL)
        assert device is not None
        went[device] += 1
        board.begin(device, MODEL)
    assert went[A] > 5 * went[C] > 0


def test_full_silent_resting_and_leaving_workers_are_not_asked(
    board: WorkerBoard, clock: Clock
) -> None:
    tell(board, A, MODEL, waiting=4, limit=4)
    assert board.choose(MODEL) is None and len(board.statuses()) == 1
    tell(board, A, MODEL)
    assert board.choose(MODEL, [A]) is None
    board.rest(A)
    assert board.choose(MODEL) is None
    clock.now += RESTED_SECONDS
    tell(board, A, MODEL)
    assert board.choose(MODEL) == A
    board.rest(A)  # the second time in a row lasts longer
    clock.now += RESTED_SECONDS
    tell(board, A, MODEL)
    assert board.choose(MODEL) is None
    clock.now += RESTED_SECONDS
    tell(board, A, MODEL)
    assert board.choose(MODEL) == A
    clock.now += SILENT_SECONDS + 0.1
    assert board.choose(MODEL) is None and len(board.statuses()) == 0
    tell(board, A, MODEL)
    board.hear(WorkerStatus(device=A, is_leaving=True, residency=EMPTY))
    assert len(board.statuses()) == 0


def test_a_wrong_device_is_asked_again_only_after_it_was_away(
    board: WorkerBoard, clock: Clock
) -> None:
    tell(board, A, MODEL)
    board.bar(A)
    assert board.choose(MODEL) is None and board.is_barred(A)
    for _ in range(20):  # it goes on as if nothing were
        clock.now += 1
        tell(board, A, MODEL)
    assert board.is_barred(A)
    clock.now += AWAY_SECONDS + 1
    tell(board, A, MODEL)
    assert not board.is_barred(A) and board.choose(MODEL) == A


def test_a_class_is_a_family_and_a_product(board: WorkerBoard) -> None:
    for device in (A, B, C):
        tell(board, device)
    assert board.choose(MODEL, apart=A) == C
    assert board.choose(MODEL, apart=C) in (A, B)
    board.hear_inventory(inventory("one", ("cuda:0", "cuda", "H100"), ("cuda:1", "cuda", "H200")))
    assert board.choose(MODEL, [C], apart=A) == B


def test_each_device_has_a_subject_of_its_own() -> None:
    assert worker_subject(A) == "infer.run.one.cuda:0"
