"""The contract between a device family and whoever uses it.

A family is a folder in ``drivers/`` whose ``driver.py`` holds a class named ``Driver`` that
fulfils the protocol below; `drivers.registry` finds it there. Nothing here knows of farms,
chains or contracts.

Units are SI and stand in the field names. A reading that cannot be had is ``None`` with its
reason in ``Telemetry.missing``; it is never 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DeviceLost, DriverError
from drivers.kernels.graphs import Cycle, NonceForm, Variant
from drivers.program import Program


class Capability(StrEnum):
    """What a device can compute, each proved by a known answer before it may work."""

    CUCKOO = "cuckoo"
    INFER = "infer"
    TRAIN = "train"
    HASH_SHA256D = "hash_sha256d"
    VERIFY_CUCKOO = "verify_cuckoo"


class ProbeStatus(StrEnum):
    """PASS: the family works here. ABSENT: nothing of it here. BROKEN: there, but unusable."""

    PASS = "pass"
    ABSENT = "absent"
    BROKEN = "broken"


@dataclass(frozen=True)
class Probe:
    """A family's answer to "are you here?", with the true reason where it is not."""

    status: ProbeStatus
    reason: str = ""


@dataclass(frozen=True)
class DeviceInfo:
    """What a device is. ``id`` is ``family:index`` within a rig and may change with the order
    of enumeration; ``hardware_id`` (UUID, PCI address, serial number) does not."""

    id: str
    hardware_id: str
    family: str
    model: str
    capabilities: frozenset[Capability]
    memory_bytes: int | None = None
    driver_version: str = ""
    parent: str = ""
    """Bus address or hub the device hangs on, e.g. ``0000:65:00.0``."""
    details: Mapping[str, str] = field(default_factory=dict)


#: Every telemetry field there is, in SI units. A family fills those it has.
TELEMETRY_FIELDS = (
    "utilisation_ratio",
    "memory_utilisation_ratio",
    "memory_used_bytes",
    "memory_total_bytes",
    "temperature_celsius",
    "memory_temperature_celsius",
    "fan_ratio",
    "power_watts",
    "power_limit_watts",
    "energy_joules",
    "clock_hertz",
    "memory_clock_hertz",
    "pcie_generation",
    "pcie_width_lanes",
    "pcie_receive_bytes_per_second",
    "pcie_send_bytes_per_second",
    "pcie_replay_count",
    "link_error_count",
    "ecc_corrected_count",
    "ecc_uncorrected_count",
    "retired_memory_count",
    "process_count",
    "throttle_bits",
    "throttle_count",
    "voltage_volts",
)

#: Every control there can be; a family has those that its devices have. The clocks' controls set
#: an upper bound.
POWER_LIMIT = "power_limit_watts"
CLOCK = "clock_hertz"
MEMORY_CLOCK = "memory_clock_hertz"
FAN = "fan_ratio"


@dataclass(frozen=True)
class Telemetry:
    """One reading of a device. ``values`` holds only fields that were read;
    ``missing`` says for each other field of `TELEMETRY_FIELDS` why it is not there."""

    device_id: str
    time: float
    """Seconds since the epoch."""
    values: Mapping[str, float]
    missing: Mapping[str, str]


def read_telemetry(
    device_id: str, readers: Mapping[str, Callable[[], float]], otherwise: str
) -> Telemetry:
    """Call each field's reader; one that raises a `DriverError` leaves its field missing with
    that reason. Fields without a reader are missing because of ``otherwise``.

    Raises `DeviceLost` when a reader does: then no reading is worth anything.
    """
    values: dict[str, float] = {}
    missing = dict.fromkeys(TELEMETRY_FIELDS, otherwise)
    for name, reader in readers.items():
        try:
            values[name] = reader()
            del missing[name]
        except DeviceLost:
            raise
        except DriverError as error:
            missing[name] = str(error)
    return Telemetry(device_id, time.time(), values, missing)


class HealthStatus(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    NEEDS_RESET = "needs_reset"
    LOST = "lost"


@dataclass(frozen=True)
class Health:
    status: HealthStatus
    codes: tuple[str, ...] = ()
    """Machine-readable causes, e.g. ``xid_79``, ``temperature_high``."""
    reason: str = ""


@dataclass(frozen=True)
class Limits:
    """Range of one control; a control that has one can be set."""

    minimum: float
    maximum: float
    default: float


@dataclass(frozen=True)
class Applied:
    """What a control was, what was asked, and what the device says it is now. None: the device
    chooses for itself."""

    control: str
    before: float | None
    requested: float | None
    read_back: float | None


@runtime_checkable
class Session(Protocol):
    """Exclusive use of a device for one capability. Sessions run inside a worker process
    (`drivers.worker`), so that a hang or a crash stays contained."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class CuckooJob:
    """One piece of proof-of-work to search, over a range of nonces.

    The graph of nonce n is that of `drivers.kernels.graphs` with the keys of ``header`` and n.
    ``rounds`` is (compression, finalisation): Cortex (4, 8), Grin (2, 4).
    """

    header: bytes
    """What the nonce is appended to; for Cortex 32 bytes, the seal hash."""
    edge_bits: int
    rounds: tuple[int, int] = (4, 8)
    proof_size: int = 42
    cycle: Cycle = Cycle.CUCKAROO
    nonce_form: NonceForm = NonceForm.CORTEX

    @classmethod
    def of(cls, variant: Variant, header: bytes) -> Self:
        """A job of a named variant (`drivers.kernels.graphs.VARIANTS`)."""
        v = variant
        return cls(header, v.edge_bits, v.rounds, v.proof_size, v.cycle, v.nonce_form)


@dataclass(frozen=True)
class CuckooSolution:
    """A cycle, its edges ascending, already checked by the verifier."""

    nonce: int
    edges: tuple[int, ...]


#: Called with a cycle as soon as it is found.
Found = Callable[[CuckooSolution], None]


def tell(solutions: Sequence[CuckooSolution], found: Found | None) -> None:
    """Tell each solution to whoever listens."""
    if found:
        for solution in solutions:
            found(solution)


class CuckooSession(Session, Protocol):
    """A session may have two methods more: ``stop(stopped: bool)``, from another thread, which
    ends the running search at its next trimming round, and ``release()``, which frees the memory
    held between searches while the session stays open."""

    def search(
        self,
        job: CuckooJob,
        first_nonce: int,
        graphs: int,
        should_stop: Callable[[], bool],
        found: Found | None = None,
    ) -> tuple[int, list[CuckooSolution]]:
        """Search ``graphs`` graphs from ``first_nonce`` on; return how many were done (fewer
        if ``should_stop`` said so between two graphs) and every verified cycle found, by nonce
        and by edges. Each cycle is told to ``found`` as soon as it is there."""
        ...

    def verify(self, job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool:
        """Whether ``edges`` is a cycle of the graph, by the rules of the reference node."""
        ...


class VerifySession(Session, Protocol):
    """Checks proofs of work, and searches none."""

    def verify(self, job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool: ...


class InferSession(Session, Protocol):
    """A session may have ``run_many(model_id, inputs) -> list[bytes]``, where it computes several
    inputs faster together, as streams of a GPU do; else they are run one after another. One that
    keeps models on disk may have ``recall(model_id) -> bool``, which is `load` without a program,
    of what is kept there; False where nothing is. It trusts the id, which must stand for one
    program for ever."""

    def load(self, model_id: str, program: Program) -> None:
        """Make a model resident. Loading the same id again changes nothing."""
        ...

    def unload(self, model_id: str) -> None: ...

    def run(self, model_id: str, data: bytes) -> bytes:
        """Run one input. ``data`` is the little-endian int32 input tensor, row-major, already
        clamped; the answer is each head's int32 tensor, little-endian, one after another."""
        ...


class TrainSession(Session, Protocol):
    """Shows that training works on the device. Jobs themselves run in the farm's sandbox."""

    def gradient(self, x: NDArray[np.int32], w: NDArray[np.int32]) -> NDArray[np.int32]:
        """Gradient of Σ(x·w)² by w, by the training engine's own automatic differentiation.
        x is (n, k), w (k, m), both of small integers, so that float32 holds it exactly."""
        ...


@dataclass(frozen=True)
class SelfTest:
    """Outcome of a known-answer test at one capability."""

    capability: Capability
    passed: bool
    detail: str
    seconds: float


class Device(Protocol):
    """A discovered device."""

    info: DeviceInfo

    def snapshot(self) -> Telemetry: ...

    def health(self) -> Health: ...

    def limits(self) -> Mapping[str, Limits]: ...

    def settings(self) -> Mapping[str, float | None]:
        """What each control of `limits` is set to now; None where the device chooses."""
        ...

    def apply(self, control: str, value: float | None) -> Applied:
        """Set a control, clamped to its limits, and read it back. None hands it back to the
        device."""
        ...

    def restore(self) -> None:
        """Put every control back to what it was when the device was first discovered."""
        ...

    def open(self, capability: Capability, **options: Any) -> Session:
        """Open a session in this very process. Callers go through `drivers.worker`."""
        ...


@runtime_checkable
class Tunable(Protocol):
    """A `Device` whose sessions can be opened in several ways that are worth measuring."""

    def variants(self, capability: Capability, edge_bits: int) -> Sequence[Mapping[str, Any]]:
        """Options of `Device.open` to compare for graphs of this size, each of plain numbers
        and words; the first is ``{}``, the driver's own choice."""
        ...


class Driver(Protocol):
    """A device family."""

    family: str

    def probe(self) -> Probe:
        """Say whether the family is here. Never raises."""
        ...

    def discover(self) -> Sequence[Device]: ...

    def watch(self, callback: Callable[[str], None]) -> Callable[[], None] | None:
        """Call back with a reason whenever devices may have come or gone; return a function
        that ends the watch, or None where the family has no events (the caller polls)."""
        ...
