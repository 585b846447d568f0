"""What a device's controls are set to for a workload."""

from __future__ import annotations

from drivers.base import POWER_LIMIT, DeviceInfo
from farmctl.agent.settings import Settings
from farmctl.domain import Workload
from farmctl.errors import ConfigError
from farmctl.hardware import find_product, load_products
from farmctl.sections import RigSection
from farmctl.tuning.records import TuningFile

CHOICES = ("profile", "leave")


class Profiles:
    """The catalogue's profiles, and for mining the best power limit that the tuner has found."""

    def __init__(self, section: RigSection, tuning: TuningFile) -> None:
        if section.settings not in CHOICES:
            raise ConfigError(f"[rig] settings must be one of {', '.join(CHOICES)}")
        self._leave = section.settings == "leave"
        self._tuning = tuning
        self._products = () if self._leave else load_products()

    def find(self, info: DeviceInfo, workload: Workload) -> Settings:
        if self._leave:
            return {}
        product = find_product(info, self._products)
        settings = product.settings(workload) if product else {}
        if workload is Workload.MINE and (watts := self._tuning.find_power_limit(info)):
            settings[POWER_LIMIT] = watts
        return settings
