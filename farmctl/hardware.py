"""The catalogue of hardware products: one TOML file each in ``hw-configs/``.

Figures are those that the vendor publishes, with the data sheet named in ``source``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivers.base import CLOCK, FAN, MEMORY_CLOCK, POWER_LIMIT, DeviceInfo
from farmctl.domain import Workload
from farmctl.errors import ConfigError

_BESIDE, _WITHIN = (Path(__file__).parents[up] / "hw-configs" for up in (1, 0))
#: In a clone the catalogue lies beside the packages, in a wheel within this one.
FOLDERS = (_BESIDE if _BESIDE.is_dir() else _WITHIN,)

BusId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}(:[0-9a-f]{2})?$")]
"""Vendor and product, four hexadecimal digits each; AMD needs the revision too, as its
product number is the chip's."""
Positive = Annotated[float, Field(gt=0)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(_Record):
    """How a discovered device is recognised; any one suffices."""

    pci_ids: tuple[BusId, ...] = ()
    usb_ids: tuple[BusId, ...] = ()
    models: tuple[re.Pattern[str], ...] = ()
    """Patterns for the model's name, the whole of it, letters of either case."""


class Memory(_Record):
    size_gib: Positive
    type: str = ""
    bandwidth_gb_per_second: Positive | None = None
    """In 10^9 bytes."""


class Pcie(_Record):
    generation: Annotated[int, Field(ge=1, le=7)]
    lanes: Literal[1, 2, 4, 8, 16]


class Limits(_Record):
    tdp_watts: Positive | None = None
    """Board power by the data sheet; None where the vendor states none."""
    temperature_celsius: Positive | None = None
    """Above it the device must not work."""


class Profile(_Record):
    """Settings to begin with for one workload, and what to expect."""

    power_limit_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Power limit as a share of ``tdp_watts``. A starting point, to be tuned by measuring."""
    clock_hertz: Positive | None = None
    """Upper bound of the core clock; None leaves it to the device, as with those below."""
    memory_clock_hertz: Positive | None = None
    fan_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    cuckaroo30_graphs_per_second: Positive | None = None
    rate_source: str = ""
    """Where the rate was published."""


class Overlay(_Record):
    """An FPGA's design: what it is built with, as its registers tell and its driver expects."""

    name: str
    chip: str
    clock_hertz: Positive
    """Meant for; what a build reaches is the builder's to see."""
    rows: Annotated[int, Field(gt=0)]
    """Positions that the array computes at once."""
    channels: Annotated[int, Field(gt=0)]
    """Filters that the array computes at once."""
    feature_bytes: Annotated[int, Field(gt=0)]
    most_steps: Annotated[int, Field(gt=0)]
    registers_address: Annotated[int, Field(ge=0)]
    memory_port_bits: Literal[32, 64, 128]

    @property
    def macs_per_second(self) -> float:
        """At its clock with every element of the array busy; an upper bound."""
        return self.rows * self.channels * self.clock_hertz

    def describe(self) -> str:
        array, clock = f"{self.rows} × {self.channels}", self.clock_hertz / 1e6
        return f"{self.name} {array} for {self.chip}, meant for {clock:g} MHz"


class Product(_Record):
    name: str
    vendor: str
    kind: Literal["gpu", "fpga", "stick"]
    family: str
    """Device family in ``drivers/`` that speaks to it."""
    source: Annotated[str, Field(min_length=8)]
    """The data sheet that the figures are from."""
    match: Match
    memory: Memory | None = None
    pcie: Pcie | None = None
    limits: Limits = Limits()
    overlay: Overlay | None = None
    profiles: Mapping[Workload, Profile] = {}

    def settings(self, workload: Workload) -> dict[str, float]:
        """What the profile of a workload sets, by control; a control that is not in it is the
        device's own choice."""
        profile = self.profiles.get(workload)
        if profile is None:
            return {}
        values = {
            CLOCK: profile.clock_hertz,
            MEMORY_CLOCK: profile.memory_clock_hertz,
            FAN: profile.fan_ratio,
        }
        if self.limits.tdp_watts is not None:
            values[POWER_LIMIT] = self.limits.tdp_watts * profile.power_limit_ratio
        return {control: value for control, value in values.items() if value is not None}

    def matches(self, device: DeviceInfo) -> bool:
        if device.family != self.family:
            return False
        ids = (device.details.get("pci_id", ""), device.details.get("usb_id", ""))
        present = {*ids, *(i.rpartition(":")[0] for i in ids)}
        if present & {*self.match.pci_ids, *self.match.usb_ids}:
            return True
        return any(re.fullmatch(p.pattern, device.model, re.IGNORECASE) for p in self.match.models)


def load_product(path: Path) -> Product:
    """Raises `ConfigError` naming the file and what is wrong in it."""
    try:
        return Product.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None


def load_products(folders: Sequence[Path] = FOLDERS) -> tuple[Product, ...]:
    """Every product of the folders that exist, by file name. Raises `ConfigError`."""
    paths = sorted(path for folder in folders for path in folder.glob("*.toml"))
    return tuple(map(load_product, paths))


def find_product(device: DeviceInfo, products: Sequence[Product]) -> Product | None:
    """The product that a device is, if the catalogue has it."""
    return next((product for product in products if product.matches(device)), None)


def _explain(error: ValidationError) -> str:
    def one(location: tuple[int | str, ...], kind: str, text: str) -> str:
        key = ".".join(map(str, location))
        return f"unknown key {key}" if kind == "extra_forbidden" else f"{key}: {text}"

    return "; ".join(one(e["loc"], e["type"], e["msg"]) for e in error.errors())
