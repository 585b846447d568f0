"""Known-answer tests that devices have passed, kept by driver version on the rig's disk."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from drivers.base import Capability, DeviceInfo, SelfTest
from farmctl.errors import StoreError
from farmctl.files import write_atomic

log = logging.getLogger(__name__)
#: Most proofs kept; the oldest go first.
LIMIT = 10_000


def _key(info: DeviceInfo, capability: Capability) -> str:
    return "|".join((info.hardware_id, info.driver_version, info.model, capability.value))


class Proofs:
    """Outcomes of self-tests. Only passed ones outlive the agent: a failure is tried again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tests: dict[str, SelfTest] = self._read()

    def of(self, info: DeviceInfo) -> tuple[SelfTest, ...]:
        """What is known of the device's capabilities, on its present driver."""
        found = (self._tests.get(_key(info, one)) for one in sorted(info.capabilities))
        return tuple(test for test in found if test is not None)

    def missing(self, info: DeviceInfo) -> tuple[Capability, ...]:
        """Capabilities not proved on this driver: never tested, or failed, as a stick does that
        is unplugged in the midst of its test."""
        return tuple(c for c in sorted(info.capabilities) if not self.has(info, c))

    def has(self, info: DeviceInfo, capability: Capability) -> bool:
        test = self._tests.get(_key(info, capability))
        return test is not None and test.passed

    def record(self, info: DeviceInfo, test: SelfTest) -> None:
        key = _key(info, test.capability)
        self._tests.pop(key, None)
        self._tests[key] = test
        while len(self._tests) > LIMIT:
            del self._tests[next(iter(self._tests))]
        self._write()

    def forget(self, info: DeviceInfo) -> None:
        """After a fault: the device must prove itself again."""
        for capability in info.capabilities:
            self._tests.pop(_key(info, capability), None)
        self._write()

    def _write(self) -> None:
        kept = {
            key: {"capability": t.capability, "detail": t.detail, "seconds": t.seconds}
            for key, t in self._tests.items()
            if t.passed
        }
        try:
            write_atomic(self._path, json.dumps(kept, indent=1).encode())
        except StoreError as error:
            log.warning("proofs are not kept, so devices are tested again next time: %s", error)

    def _read(self) -> dict[str, SelfTest]:
        try:
            kept = json.loads(self._path.read_bytes())
            return {
                key: SelfTest(Capability(t["capability"]), True, t["detail"], t["seconds"])
                for key, t in kept.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read; devices are tested again: %s", self._path, error)
            return {}
