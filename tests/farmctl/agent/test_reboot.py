"""The last steps: a rig is drained and rebooted, within its owner's bounds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from farmctl.agent import reboot
from farmctl.agent.reboot import LastSteps, Rebooter
from farmctl.sections import RigSection

NEED = {"cuda:0": "the GPU has fallen off the bus"}


class Rig:
    """A rig that writes a file where a real one would go down."""

    def __init__(self, folder: Path, command: str | None = None, per_day: int = 2) -> None:
        self.down = folder / "down"
        if command is None:
            command = f"{sys.executable} -c \"open('{self.down}', 'w')\""
        self.needs, self.draining, self.busy = dict(NEED), list[bool](), 0
        self.told: list[tuple[str, str, str]] = []
        self.now = 1e6
        section = RigSection(reboot_command=command, reboots_per_day=per_day)
        rebooter = Rebooter(folder / "reboots.json", section, lambda: self.now)
        self.steps = LastSteps(
            rebooter, lambda: self.needs, self.draining.append, self.is_idle, self.tell
        )

    def is_idle(self) -> bool:
        self.busy -= 1
        return self.busy < 0

    def tell(self, device: str, code: str, step: str, detail: str) -> None:
        self.told.append((device, code, step))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reboot, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(reboot, "DRAIN_SECONDS", 0.5)
    monkeypatch.setattr(reboot, "DOWN_SECONDS", 2.0)


async def test_it_drains_then_reboots(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.busy = 3
    await rig.steps.look()
    assert rig.down.exists()
    steps = [step for _, _, step in rig.told]
    assert steps == ["drain", "reboot", "undo_drain"], "it is still up, so it works on"
    assert rig.draining == [True, False]


async def test_without_the_owners_leave_it_is_told_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, command="")
    for _ in range(3):
        await rig.steps.look()
    assert rig.told == [("cuda:0", "reboot_needed", "left_alone")]
    assert rig.draining == []


async def test_the_budget_outlives_the_agent(tmp_path: Path) -> None:
    for _ in range(2):
        await Rig(tmp_path).steps.look()
    third = Rig(tmp_path)
    third.down.unlink()
    await third.steps.look()
    assert third.told == [("cuda:0", "reboot_needed", "left_alone")]
    assert not third.down.exists()
    third.now += 86_401
    third.needs = {"cuda:1": "lost too"}
    await third.steps.look()
    assert third.down.exists()


async def test_a_device_that_recovers_calls_it_off(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.busy = 1000
    asked = iter([NEED, NEED, NEED])
    rig.steps._needs = lambda: next(asked, {})
    await rig.steps.look()
    assert rig.told[-1] == ("cuda:0", "reboot_called_off", "undo_drain")
    assert not rig.down.exists()
    assert rig.draining == [True, False]


async def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    for command in ("/nowhere/reboot", f"{sys.executable} -c 'raise SystemExit(3)'"):
        rig = Rig(tmp_path, command)
        await rig.steps.look()
        assert rig.told[-1] == ("cuda:0", "reboot_failed", "undo_drain")
        assert rig.draining == [True, False]


async def test_a_damaged_count_means_no_reboot(tmp_path: Path) -> None:
    (tmp_path / "reboots.json").write_text("{")
    rig = Rig(tmp_path)
    await rig.steps.look()
    assert rig.told == [("cuda:0", "reboot_needed", "left_alone")]
