"""Self-tests that devices have passed, kept by driver version."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from drivers.base import Capability, DeviceInfo, SelfTest
from farmctl.agent.proofs import Proofs

INFO = DeviceInfo(
    "cpu:0",
    "hw-1",
    "cpu",
    "Model",
    frozenset({Capability.CUCKOO, Capability.INFER}),
    driver_version="1",
)
PASSED = SelfTest(Capability.CUCKOO, True, "ok", 0.1)
FAILED = SelfTest(Capability.INFER, False, "wrong answer", 0.1)


def test_a_pass_outlives_the_agent_and_a_failure_is_tried_again(tmp_path: Path) -> None:
    proofs = Proofs(tmp_path / "proofs.json")
    assert proofs.missing(INFO) == (Capability.CUCKOO, Capability.INFER)
    proofs.record(INFO, PASSED)
    proofs.record(INFO, FAILED)
    assert proofs.missing(INFO) == (Capability.INFER,), "it is plugged in again: try anew"
    assert proofs.has(INFO, Capability.CUCKOO)
    assert not proofs.has(INFO, Capability.INFER)
    again = Proofs(tmp_path / "proofs.json")
    assert again.of(INFO) == (PASSED,)
    assert again.missing(INFO) == (Capability.INFER,)


def test_another_driver_must_prove_itself_again(tmp_path: Path) -> None:
    proofs = Proofs(tmp_path / "proofs.json")
    proofs.record(INFO, PASSED)
    newer = dataclasses.replace(INFO, driver_version="2")
    assert not proofs.has(newer, Capability.CUCKOO)
    assert Capability.CUCKOO in proofs.missing(newer)


def test_after_a_fault_nothing_is_proved(tmp_path: Path) -> None:
    proofs = Proofs(tmp_path / "proofs.json")
    proofs.record(INFO, PASSED)
    proofs.forget(INFO)
    assert not Proofs(tmp_path / "proofs.json").has(INFO, Capability.CUCKOO)


def test_a_damaged_file_means_testing_again(tmp_path: Path) -> None:
    for content in (b"", b"[]", b'{"a": 1}', b'{"a": {"capability": "x"}}'):
        (tmp_path / "proofs.json").write_bytes(content)
        assert Proofs(tmp_path / "proofs.json").of(INFO) == ()
