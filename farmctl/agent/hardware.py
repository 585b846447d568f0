"""What the drivers find on this rig, with every call under a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers import registry, selftest
from drivers.base import Capability, Device, DeviceInfo, SelfTest
from drivers.errors import DriverError
from drivers.registry import Family
from drivers.survey import Survey
from farmctl.agent.threads import call_with_deadline

DISCOVER_SECONDS = 60.0
SELF_TEST_SECONDS = 120.0


@dataclass(frozen=True)
class Findings:
    """Families with their probes and devices."""

    families: tuple[Family, ...]

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(device for family in self.families for device in family.devices)


class Hardware(Protocol):
    def discover(self) -> Findings: ...

    def watch(self, changed: Callable[[str], None]) -> None:
        """Have ``changed`` called, from any thread, when devices may have come or gone. A call
        again takes in families that could not be watched before."""
        ...

    def prove(self, info: DeviceInfo, capability: Capability) -> SelfTest: ...


class DriverHardware:
    """The devices of every family in ``drivers``."""

    def __init__(self) -> None:
        self._watched: set[str] = set()
        self._survey = Survey()

    def discover(self) -> Findings:
        return Findings(tuple(self._survey.look()))

    def watch(self, changed: Callable[[str], None]) -> None:
        """Each family in a thread of its own, for its driver may hang."""
        for family in set(registry.families()) - self._watched:
            self._watched.add(family)
            name = f"watch-{family}"
            threading.Thread(
                target=self._watch_family, args=(family, changed), name=name, daemon=True
            ).start()

    def _watch_family(self, family: str, changed: Callable[[str], None]) -> None:
        try:
            registry.driver(family).watch(changed)
        except DriverError:
            self._watched.discard(family)

    def prove(self, info: DeviceInfo, capability: Capability) -> SelfTest:
        return selftest.prove(info.family, info.id, capability)


async def discover(hardware: Hardware, changed: Callable[[str], None]) -> Findings:
    """What is there now; ``changed`` is called when that may be true no longer. Raises
    TimeoutError when a driver hangs."""

    def look() -> Findings:
        hardware.watch(changed)
        return hardware.discover()

    return await call_with_deadline(look, DISCOVER_SECONDS, "discover")


async def prove(
    hardware: Hardware, info: DeviceInfo, capabilities: Sequence[Capability]
) -> tuple[SelfTest, ...]:
    """Known-answer tests, one after another; one that hangs has failed."""
    tests = []
    for capability in capabilities:
        tests.append(await _prove_one(hardware, info, capability))
    return tuple(tests)


async def _prove_one(hardware: Hardware, info: DeviceInfo, capability: Capability) -> SelfTest:
    began = time.monotonic()
    try:
        return await call_with_deadline(
            lambda: hardware.prove(info, capability), SELF_TEST_SECONDS, f"prove-{info.id}"
        )
    except TimeoutError:
        seconds = time.monotonic() - began
        return SelfTest(capability, False, f"no answer within {seconds:.0f} s", seconds)
