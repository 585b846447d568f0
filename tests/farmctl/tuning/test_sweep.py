"""Power limits swept on a GPU that is fake below the real NVML binding. The graphs are searched
on the processors, so what is shown is the sweep itself: set, read back, measured, put back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from fake_nvml import Machine

from drivers import registry
from drivers.base import TELEMETRY_FIELDS, Device, Limits, Telemetry
from drivers.cuda.driver import CudaDevice, Driver
from drivers.errors import DeviceLost, NotSupported
from drivers.worker import WorkerSession
from farmctl.errors import Refused
from farmctl.tuning import measuring, sweep
from farmctl.tuning.power import Energy, PowerMeter
from farmctl.tuning.sweep import Step
from tests.farmctl.tuning.conftest import BRIEF, JOB

BEFORE_MW = 320_000
LOST = 15


@pytest.fixture
def geforce(machine: Machine) -> CudaDevice:
    machine.gpus[0].limit_mw = BEFORE_MW
    return Driver().discover()[0]


@pytest.fixture(scope="module")
def session() -> Iterator[WorkerSession]:
    processors = registry.find_device("cpu", "cpu:0")
    with measuring.open_way(processors, {"threads": 1}) as opened:
        yield opened


def swept(
    device: Device, session: WorkerSession, tell: Callable[[float], None] = lambda _: None
) -> list[Step]:
    return sweep.sweep(device, session, JOB, BRIEF, tell, settle_seconds=0)


def test_each_limit_is_measured_and_the_one_before_put_back(
    geforce: CudaDevice, machine: Machine, session: WorkerSession
) -> None:
    """The GPU draws what its limit allows."""

    def draw(watts: float) -> None:
        machine.gpus[0].power_mw = round(watts * 1e3)

    steps = swept(geforce, session, draw)
    assert [round(step.limit_watts) for step in steps] == [350, 308, 267, 225, 183, 142, 100]
    for step in steps:
        assert step.energy.watts == pytest.approx(step.limit_watts, abs=0.01)
        assert step.joules_per_graph == pytest.approx(
            step.limit_watts * step.energy.seconds / step.graphs, rel=1e-3
        )
    assert machine.gpus[0].limit_mw == BEFORE_MW


@pytest.mark.parametrize("error", [KeyboardInterrupt, DeviceLost])
def test_limit_is_put_back_when_it_is_cut_short(
    geforce: CudaDevice, machine: Machine, session: WorkerSession, error: type[BaseException]
) -> None:
    def interrupt(watts: float) -> None:
        if watts < 300:
            assert machine.gpus[0].limit_mw < BEFORE_MW
            raise error("in the midst")

    with pytest.raises(error):
        swept(geforce, session, interrupt)
    assert machine.gpus[0].limit_mw == BEFORE_MW


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_limit_is_put_back_on_signals(
    geforce: CudaDevice, machine: Machine, session: WorkerSession, number: signal.Signals
) -> None:
    kept = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        swept(geforce, session, lambda watts: os.kill(os.getpid(), number))
    assert ended.value.code == 128 + number
    assert machine.gpus[0].limit_mw == BEFORE_MW
    assert signal.getsignal(number) is kept


def test_lost_gpu_is_told(geforce: CudaDevice, machine: Machine, session: WorkerSession) -> None:
    def lose(watts: float) -> None:
        machine.gpus[0].failure = LOST

    with pytest.raises(DeviceLost):
        swept(geforce, session, lose)


def test_device_without_a_limit_is_refused(processors: Device) -> None:
    with pytest.raises(Refused, match="cpu:0 has no power limit"):
        sweep.find_limits(processors)


def test_limits_go_evenly_from_the_highest_to_the_lowest() -> None:
    assert sweep.steps_of(Limits(100.0, 300.0, 300.0), 5) == [300, 250, 200, 150, 100]


def test_best_takes_the_least_energy_a_graph() -> None:
    def step(watts: float, joules: float | None) -> Step:
        return Step(watts, 10, 1.0, Energy(joules, 1.0))

    steps = [step(300, 500.0), step(200, 300.0), step(100, 400.0), step(50, None)]
    assert sweep.best(steps) is steps[1]
    assert sweep.best([step(300, None)]) is None


class Meter:
    """Only what the power meter asks of a device: readings, one after another."""

    def __init__(self, *readings: dict[str, float] | NotSupported) -> None:
        self._readings = list(readings)

    def snapshot(self) -> Telemetry:
        values = self._readings.pop(0) if len(self._readings) > 1 else self._readings[0]
        if isinstance(values, NotSupported):
            raise values
        missing = {name: "no sensor" for name in TELEMETRY_FIELDS if name not in values}
        return Telemetry("test:0", 0.0, values, missing)


def energy_of(*readings: dict[str, float] | NotSupported) -> Energy:
    with PowerMeter(Meter(*readings), sample_seconds=60) as meter:  # type: ignore[arg-type]
        pass
    return meter.energy()


def test_energy_counter_is_preferred() -> None:
    found = energy_of({"energy_joules": 100.0, "power_watts": 5.0}, {"energy_joules": 130.0})
    assert found.joules == 30


def test_power_stands_in_for_a_counter_that_began_again() -> None:
    found = energy_of(
        {"energy_joules": 100.0, "power_watts": 40.0}, {"energy_joules": 1.0, "power_watts": 60.0}
    )
    assert found.watts == pytest.approx(50)


def test_power_that_cannot_be_read_has_its_reason() -> None:
    assert energy_of({"clock_hertz": 1e9}).reason == "no sensor"
    assert energy_of({"clock_hertz": 1e9}).watts is None
    lost = energy_of(NotSupported("no telemetry here"))
    assert (lost.joules, lost.reason) == (None, "no telemetry here")
