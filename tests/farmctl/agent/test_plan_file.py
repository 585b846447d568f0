"""The plan on a rig's disk: numbers only grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from farmctl.agent.plan_file import PlanFile
from farmctl.domain import Priority, Workload
from farmctl.errors import BadRequest, Conflict, StoreError
from farmctl.messages import AssignmentMessage, RigPlan


def plan(number: int, workload: Workload = Workload.MINE, rig: str = "rig-a") -> RigPlan:
    one = AssignmentMessage(
        device="cpu:0", workload=workload, priority=Priority.MINING, reason="test"
    )
    return RigPlan(rig=rig, number=number, created=1.0, assignments=(one,))


def test_a_plan_outlives_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert PlanFile(path, "rig-a").accept(plan(3))
    again = PlanFile(path, "rig-a")
    assert again.plan == plan(3)
    assert again.number == 3


def test_the_same_plan_again_changes_nothing(tmp_path: Path) -> None:
    kept = PlanFile(tmp_path / "plan.json", "rig-a")
    assert kept.accept(plan(3))
    assert not kept.accept(plan(3))


def test_a_plan_sent_again_with_newer_checkpoints_is_the_same(tmp_path: Path) -> None:
    kept = PlanFile(tmp_path / "plan.json", "rig-a")
    assert kept.accept(plan(3))
    (one,) = plan(3).assignments
    newer = one.model_copy(update={"parameters": {"checkpoint": "ab" * 32}})
    assert not kept.accept(plan(3).model_copy(update={"assignments": (newer,)}))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_older_or_other_plan_of_the_number_is_refused(tmp_path: Path, number: int) -> None:
    kept = PlanFile(tmp_path / "plan.json", "rig-a")
    kept.accept(plan(3))
    with pytest.raises(Conflict, match="plan 3 is in force"):
        kept.accept(plan(number, Workload.IDLE))
    assert PlanFile(tmp_path / "plan.json", "rig-a").plan == plan(3)


def test_another_rigs_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="rig-b"):
        PlanFile(tmp_path / "plan.json", "rig-a").accept(plan(1, rig="rig-b"))


def test_a_device_twice_is_refused(tmp_path: Path) -> None:
    one = plan(1).assignments[0]
    twice = RigPlan(rig="rig-a", number=1, created=1.0, assignments=(one, one))
    with pytest.raises(BadRequest, match="twice"):
        PlanFile(tmp_path / "plan.json", "rig-a").accept(twice)


def test_a_disk_that_does_not_take_it_keeps_the_plan_before(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "plan.json"
    kept = PlanFile(path, "rig-a")
    kept.accept(plan(1))
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError):
        kept.accept(plan(2))
    assert kept.number == 1


def test_a_damaged_file_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"rig": "rig-a", "number"')
    assert PlanFile(path, "rig-a").plan is None
