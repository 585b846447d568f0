"""Figures for Prometheus, and whether the controller is well."""

from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.inference.figures import InferenceFigures
from farmctl.messages import CacheStatus, StratumStatus

router = APIRouter(tags=["metrics"])

COUNTED = ("work", "bad_lines", "refused_connections", "dropped_connections", "bans", "blocks")


class HealthView(schemas.Body):
    ok: bool


@router.get("/healthz")
async def check_health(request: Request) -> HealthView:
    """Answers once the controller is ready; needs no token and tells nothing."""
    return HealthView(ok=find_farm(request).executor is not None)


@router.get("/metrics", include_in_schema=False)
async def show_metrics(request: Request, caller: Reader) -> Response:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        views = farm.views
        figures = _Figures(views.overview(tx), views.rigs(tx), views.devices(tx))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(figures)
    status = farm.node_status()
    if status is not None and status.stratum is not None:
        registry.register(_Pool(status.stratum, "farm_pool"))
    if status is not None and status.relay is not None:
        registry.register(_Pool(status.relay, "farm_relay"))
    if status is not None and status.model_cache is not None:
        registry.register(_ModelCache(status.model_cache))
    inference = farm.inference()
    if inference is not None:
        registry.register(InferenceFigures(inference))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    def __init__(
        self,
        overview: schemas.OverviewView,
        rigs: list[schemas.RigView],
        devices: list[schemas.DeviceView],
    ) -> None:
        self._overview, self._rigs, self._devices = overview, rigs, devices

    def collect(self) -> Iterator[Metric]:
        yield from self._farm_figures()
        yield from self._readings()
        yield from self._scrapes()
        yield self._shares()

    def _farm_figures(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("farm_devices", "Devices by state.", labels=["state"])
        for state, count in self._overview.devices.model_dump().items():
            states.add_metric([state], count)
        yield states
        workloads = GaugeMetricFamily("farm_workloads", "Devices by workload.", labels=["workload"])
        for workload, count in self._overview.workloads.items():
            workloads.add_metric([workload], count)
        yield workloads
        yield GaugeMetricFamily(
            "farm_plan_number", "Newest plan.", value=self._overview.plan_number
        )
        if self._overview.node and self._overview.node.running:
            height = self._overview.node.height
            yield GaugeMetricFamily("farm_node_height", "The node's head.", value=height)

    def _readings(self) -> Iterator[Metric]:
        names = sorted({name for d in self._devices for name in d.readings})
        for name in names:
            family = GaugeMetricFamily(f"farm_device_{name}", "A reading.", labels=["device"])
            for device in self._devices:
                value = device.readings.get(name)
                if value is not None:
                    family.add_metric([device.key], value)
            yield family

    def _scrapes(self) -> Iterator[Metric]:
        """Whether each device and family was read last time; how long a device's reading took is
        among its readings."""
        success = GaugeMetricFamily(
            "farm_device_scrape_success", "Whether it was read last time.", labels=["device"]
        )
        for device in self._devices:
            was_read = any(value is not None for value in device.readings.values())
            success.add_metric([device.key], device.state != "offline" and was_read)
        yield success
        labels = ["rig", "family"]
        seconds = GaugeMetricFamily(
            "farm_family_scrape_seconds", "That looking for its devices took.", labels=labels
        )
        well = GaugeMetricFamily(
            "farm_family_scrape_success", "Whether it could be looked at.", labels=labels
        )
        for rig in self._rigs:
            for family in rig.families:
                seconds.add_metric([rig.name, family.family], family.seconds)
                well.add_metric([rig.name, family.family], family.status != "broken")
        yield seconds
        yield well

    def _shares(self) -> Metric:
        family = CounterMetricFamily(
            "farm_shares", "Shares since the beginning.", labels=["device", "outcome"]
        )
        for device in self._devices:
            family.add_metric([device.key, "accepted"], device.shares_accepted)
            family.add_metric([device.key, "stale"], device.shares_stale)
            family.add_metric([device.key, "rejected"], device.shares_rejected)
            family.add_metric([device.key, "invalid"], device.shares_invalid)
        return family


class _Pool(Collector):
    """A pool at the node: ``farm_pool`` its own, ``farm_relay`` with another pool's work."""

    def __init__(self, status: StratumStatus, name: str) -> None:
        self._status, self._name = status, name

    def collect(self) -> Iterator[Metric]:
        shares = CounterMetricFamily(f"{self._name}_shares", "Miners' shares.", labels=["outcome"])
        for outcome, count in self._status.shares.items():
            shares.add_metric([outcome], count)
        yield shares
        for name in ("connections", "miners", "banned"):
            value = getattr(self._status, name)
            yield GaugeMetricFamily(
                f"{self._name}_{name}", f"Of the pool: {name} now.", value=value
            )
        for name in COUNTED:
            value = getattr(self._status, name)
            yield CounterMetricFamily(f"{self._name}_{name}", f"Of the pool: {name}.", value=value)


class _ModelCache(Collector):
    """The node's cache of loaded models."""

    def __init__(self, status: CacheStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        asked = CounterMetricFamily(
            "farm_model_cache_requests", "Look-ups of models.", labels=["policy", "outcome"]
        )
        for outcome, count in (("hit", self._status.hits), ("miss", self._status.misses)):
            asked.add_metric([self._status.policy, outcome], count)
        yield asked
        evictions = self._status.evictions
        yield CounterMetricFamily("farm_model_cache_evictions", "Made way.", value=evictions)
        for name in ("used_bytes", "limit_bytes", "entries"):
            value = getattr(self._status, name)
            yield GaugeMetricFamily(f"farm_model_cache_{name}", f"Cache: {name}.", value=value)
