"""The registry, and the contract that every registered family keeps."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drivers import registry
from drivers.base import TELEMETRY_FIELDS, Capability, HealthStatus, ProbeStatus, Tunable
from drivers.errors import BadArgument, NotSupported
from drivers.selftest import prove
from drivers.survey import Survey


@pytest.mark.parametrize("family", registry.families())
def test_contract(family: str) -> None:
    driver = registry.driver(family)
    assert driver.family == family
    probe = driver.probe()
    assert (probe.status is ProbeStatus.PASS) or probe.reason, "say why it is not here"
    if probe.status is not ProbeStatus.PASS:
        return
    for number, device in enumerate(driver.discover()):
        info = device.info
        assert info.id == f"{family}:{number}"
        assert info.family == family
        assert info.hardware_id
        assert info.model
        reading = device.snapshot()
        assert reading.device_id == info.id
        assert set(reading.values) | set(reading.missing) == set(TELEMETRY_FIELDS)
        assert not set(reading.values) & set(reading.missing)
        assert all(reading.missing.values()), "say why it is missing"
        assert device.health().status in HealthStatus
        for control, limits in device.limits().items():
            assert limits.minimum <= limits.default <= limits.maximum, control
        with pytest.raises((NotSupported, BadArgument)):
            device.apply("no_such_control", 1.0)
        if isinstance(device, Tunable):
            variants = device.variants(Capability.CUCKOO, 16)
            assert variants[0] == {}, "the driver's own choice comes first"
            assert json.loads(json.dumps(variants)) == [dict(one) for one in variants]
        for capability in set(Capability) - info.capabilities:
            with pytest.raises(NotSupported):
                device.open(capability)


@pytest.mark.parametrize("capability", [Capability.CUCKOO, Capability.INFER])
def test_cpu_proves_itself(capability: Capability) -> None:
    answer = prove("cpu", "cpu:0", capability)
    assert answer.passed, answer.detail
    assert answer.detail


def test_cpu_proves_training() -> None:
    pytest.importorskip("torch")
    answer = prove("cpu", "cpu:0", Capability.TRAIN)
    assert answer.passed, answer.detail


def test_proof_of_an_unknown_device_fails() -> None:
    answer = prove("cpu", "cpu:9", Capability.CUCKOO)
    assert not answer.passed
    assert "no device" in answer.detail


def write_family(folder: Path, name: str, code: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("")
    (folder / name / "driver.py").write_text(code)


def test_broken_family_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_family(tmp_path, "brokenfam", "class Driver:\n    def probe(self): return 1 / 0\n")
    write_family(tmp_path, "unwritten", "raise ImportError('no such library')\n")
    monkeypatch.setattr("drivers.__path__", [*registry.drivers.__path__])
    monkeypatch.setenv(registry.SEARCH_VARIABLE, str(tmp_path))
    found = {family.name: family for family in Survey().look()}
    assert found["brokenfam"].probe.status is ProbeStatus.BROKEN
    assert "division by zero" in found["brokenfam"].probe.reason
    assert "no such library" in found["unwritten"].probe.reason
    assert found["cpu"].devices


def test_threads_that_ask_together_get_one_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches a family must tell the one that is looked at."""
    code = "import time\nclass Driver:\n    def __init__(self): time.sleep(0.2)\n"
    write_family(tmp_path, "slowfam", code)
    monkeypatch.setattr("drivers.__path__", [*registry.drivers.__path__, str(tmp_path)])
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(registry.driver, ["slowfam"] * 4))
    assert len(found) == 1


def test_driver_remembers_over_surveys() -> None:
    """Surveys are repeated; what a driver knows of its devices must outlast them."""
    assert registry.driver("cpu") is registry.driver("cpu")
    registry.find_device("cpu", "cpu:0").snapshot()
    time.sleep(0.05)
    later = registry.find_device("cpu", "cpu:0").snapshot()
    assert "second reading" not in later.missing.get("utilisation_ratio", "")
