"""A device's controls follow its workload, over the real cuda driver and a fake NVML."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_nvml import Machine
from nvml_fixtures import library, machine

from drivers.cuda.driver import CudaDevice, Driver
from drivers.errors import PermissionDenied
from farmctl.agent.profiles import Profiles
from farmctl.agent.settings import CONTESTS, PERIOD_SECONDS, WINDOW_SECONDS, Keeper, Originals
from farmctl.domain import Workload
from farmctl.errors import ConfigError
from farmctl.sections import RigSection
from farmctl.tuning.records import Tuned, TuningFile

__all__ = ["library", "machine"]


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Bench:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "settings.json"
        self.clock, self.told = Clock(), list[tuple[str, str]]()
        self.keeper = self.keeper_of(Driver().discover()[0])

    def keeper_of(self, device: CudaDevice) -> Keeper:
        def tell(code: str, step: str, detail: str) -> None:
            assert detail
            self.told.append((code, step))

        return Keeper(device, Originals(self.path), tell, self.clock)

    def later(self, seconds: float = PERIOD_SECONDS) -> None:
        self.clock.seconds += seconds
        self.keeper.keep()


@pytest.fixture
def bench(machine: Machine, tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_profile_is_set_and_taken_back(bench: Bench, machine: Machine) -> None:
    gpu = machine.gpus[0]
    bench.keeper.want({"power_limit_watts": 245.0, "fan_ratio": 0.7})
    bench.keeper.keep()
    assert (gpu.limit_mw, gpu.fan_manual, gpu.fan_target) == (245_000, 1, 70)
    bench.keeper.want({"power_limit_watts": 300.0})
    bench.keeper.keep()
    assert (gpu.limit_mw, gpu.fan_manual) == (300_000, 0)
    bench.keeper.restore()
    assert gpu.limit_mw == 350_000
    assert bench.told == []


def test_what_a_killed_agent_left_is_put_back(bench: Bench, machine: Machine) -> None:
    """The next agent never saw the limit there was; the disk knows it."""
    bench.keeper.want({"power_limit_watts": 245.0})
    bench.keeper.keep()
    next_keeper = bench.keeper_of(Driver().discover()[0])
    next_keeper.keep()
    assert machine.gpus[0].limit_mw == 350_000
    next_keeper.restore()
    assert bench.path.read_text() == "{}"


def test_a_limit_that_reverts_is_set_again_but_not_for_ever(bench: Bench, machine: Machine) -> None:
    machine.gpus[0].reverts_power = 1
    bench.keeper.want({"power_limit_watts": 245.0})
    for _ in range(20):
        bench.later()
    again, alone = ("setting_changed", "set_again"), ("setting_contested", "left_alone")
    assert bench.told == [again] * (CONTESTS - 1) + [alone]
    bench.later(WINDOW_SECONDS)
    assert bench.told[-1] == again, "tried anew after a while"


def test_another_writer_is_overruled(bench: Bench, machine: Machine) -> None:
    bench.keeper.want({"power_limit_watts": 245.0})
    bench.keeper.keep()
    machine.gpus[0].limit_mw = 320_000
    bench.later()
    assert machine.gpus[0].limit_mw == 245_000
    assert bench.told == [("setting_changed", "set_again")]


def test_without_the_right_it_is_told_once(bench: Bench, machine: Machine) -> None:
    machine.gpus[0].may_set_power = 0
    bench.keeper.want({"power_limit_watts": 245.0})
    for _ in range(5):
        bench.later()
    assert bench.told == [("setting_refused", "left_alone")]
    with pytest.raises(PermissionDenied):
        machine.gpus[0].limit_mw = 200_000
        bench.keeper.restore()


def test_lowered_power(bench: Bench, machine: Machine) -> None:
    bench.keeper.want({"power_limit_watts": 300.0})
    bench.keeper.lower(0.8)
    bench.keeper.keep()
    assert bench.keeper.can_lower
    assert machine.gpus[0].limit_mw == 240_000
    bench.keeper.lower(1.0)
    bench.keeper.keep()
    assert machine.gpus[0].limit_mw == 300_000


def test_power_can_be_lowered_without_a_profile(bench: Bench, machine: Machine) -> None:
    bench.keeper.lower(0.8)
    bench.keeper.keep()
    assert machine.gpus[0].limit_mw == 280_000
    bench.keeper.lower(1.0)
    bench.keeper.keep()
    assert machine.gpus[0].limit_mw == 350_000


def test_wanted_beyond_the_range_is_clamped_and_left_so(bench: Bench, machine: Machine) -> None:
    bench.keeper.want({"power_limit_watts": 20.0})
    for _ in range(3):
        bench.later()
    assert machine.gpus[0].limit_mw == 100_000
    assert bench.told == []


def test_unreadable_originals_change_nothing(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("[1, 2")
    bench = Bench(tmp_path)
    bench.keeper.keep()
    assert machine.gpus[0].limit_mw == 350_000


def test_profiles_by_workload(machine: Machine, tmp_path: Path) -> None:
    info = Driver().discover()[0].info
    tuning = TuningFile(tmp_path)
    profiles = Profiles(RigSection(), tuning)
    assert profiles.find(info, Workload.MINE) == {"power_limit_watts": pytest.approx(245)}
    assert profiles.find(info, Workload.IDLE) == {}
    tuning.put(
        Tuned(
            hardware_id=info.hardware_id,
            driver_version=info.driver_version,
            algorithm="cuckaroo 4-8",
            edge_bits=30,
            options={},
            graphs_per_second=6.0,
            efficient_power_limit_watts=220.0,
            measured_at=1.0,
        )
    )
    assert profiles.find(info, Workload.MINE)["power_limit_watts"] == 220
    assert Profiles(RigSection(settings="leave"), tuning).find(info, Workload.MINE) == {}
    with pytest.raises(ConfigError, match="profile, leave"):
        Profiles(RigSection(settings="mine"), tuning)
