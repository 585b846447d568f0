from __future__ import annotations

from dataclasses import replace

import pytest

from farmctl.domain import Device, Workload
from farmctl.planner import Market, PlannedDevice, economics

MARKET = Market(
    coin_price_micro=2_000_000,
    reward_coins_per_block=7.0,
    graphs_per_block=economics.graphs_per_block(100),
    power_price_micro_per_kilowatt_hour=250_000,
)
DEVICE = Device(
    key="r/cpu:0",
    rig="r",
    id="cpu:0",
    hardware_id="h",
    family="cpu",
    model="m",
    capabilities=frozenset({"cuckoo"}),
    proved=frozenset({"cuckoo"}),
    health="ok",
    health_reason="",
    workload=Workload.MINE,
)
PLANNED = PlannedDevice(DEVICE, False, 0.0, graphs_per_second=7.0, power_watts=100.0)


def test_a_block_takes_42_graphs_per_difficulty() -> None:
    assert economics.graphs_per_block(100) == 4200


def test_mining_revenue_and_power() -> None:
    # 7 graphs/s × 3600 s ÷ 4200 graphs = 6 blocks of 7 coins at 2 units: 84 units an hour.
    assert economics.mining_revenue_micro_per_hour(PLANNED, MARKET) == 84_000_000
    assert economics.power_cost_micro_per_hour(PLANNED, MARKET) == 25_000
    assert economics.mining_net_micro_per_hour(PLANNED, MARKET) == 83_975_000


def test_what_is_not_known_is_not_nought() -> None:
    unmeasured = replace(PLANNED, graphs_per_second=None, power_watts=None)
    assert economics.mining_net_micro_per_hour(unmeasured, MARKET) is None
    assert economics.power_cost_micro_per_hour(unmeasured, MARKET) is None
    assert Workload.MINE not in economics.net_by_workload(unmeasured, MARKET, 1)
    no_node = replace(MARKET, graphs_per_block=None)
    assert economics.mining_net_micro_per_hour(PLANNED, no_node) is None


def test_only_proved_work_is_estimated() -> None:
    assert set(economics.net_by_workload(PLANNED, MARKET, 1)) == {Workload.IDLE, Workload.MINE}


@pytest.mark.parametrize(("seconds", "cost"), [(36.0, 10_000), (None, 1_389), (0.0, 0)])
def test_switch_costs_what_is_not_earned_meanwhile(seconds: float | None, cost: int) -> None:
    measured = replace(PLANNED, switch_seconds=seconds)
    assert economics.switch_cost_micro(measured, 1_000_000) == cost
