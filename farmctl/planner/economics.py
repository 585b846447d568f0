"""Net money per device-hour, by workload. Estimates in micro-units; None where unknown."""

from __future__ import annotations

from farmctl.domain import Job, Workload
from farmctl.planner.inputs import Market, PlannedDevice

SECONDS_PER_HOUR = 3600
WATTS_PER_KILOWATT = 1000
#: Expected 42-cycles in one graph are 1/42; a block needs one whose hash is below the target.
GRAPHS_PER_CYCLE = 42
#: What a switch is taken to cost before one was measured.
DEFAULT_SWITCH_SECONDS = 5.0


def graphs_per_block(difficulty: int) -> float:
    """Graphs that must be searched, on average, for one block of this difficulty."""
    return float(GRAPHS_PER_CYCLE * difficulty)


def power_cost_micro_per_hour(device: PlannedDevice, market: Market) -> int | None:
    """None where the device does not report its power."""
    if device.power_watts is None:
        return None
    price = market.power_price_micro_per_kilowatt_hour
    return round(device.power_watts / WATTS_PER_KILOWATT * price)


def mining_revenue_micro_per_hour(device: PlannedDevice, market: Market) -> int | None:
    """From the measured rate; None before there is one, or while the node is not known."""
    if device.graphs_per_second is None or not market.graphs_per_block:
        return None
    blocks_per_hour = device.graphs_per_second * SECONDS_PER_HOUR / market.graphs_per_block
    return round(blocks_per_hour * market.reward_coins_per_block * market.coin_price_micro)


def mining_net_micro_per_hour(device: PlannedDevice, market: Market) -> int | None:
    revenue = mining_revenue_micro_per_hour(device, market)
    if revenue is None:
        return None
    return revenue - (power_cost_micro_per_hour(device, market) or 0)


def job_net_micro_per_hour(device: PlannedDevice, market: Market, job: Job) -> int:
    return job.price_micro_per_hour - (power_cost_micro_per_hour(device, market) or 0)


def net_by_workload(
    device: PlannedDevice, market: Market, train_price_micro_per_hour: int
) -> dict[Workload, int]:
    """Estimates for what the device can do; a workload that cannot be estimated is left out."""
    found: dict[Workload, int] = {Workload.IDLE: 0}
    power = power_cost_micro_per_hour(device, market) or 0
    mining = mining_net_micro_per_hour(device, market)
    if mining is not None and "cuckoo" in device.device.proved:
        found[Workload.MINE] = mining
    if "infer" in device.device.proved:
        found[Workload.INFER] = -power
    if "train" in device.device.proved:
        found[Workload.TRAIN] = train_price_micro_per_hour - power
    return found


def switch_cost_micro(device: PlannedDevice, earning_micro_per_hour: int) -> int:
    """What is not earned while the device changes over."""
    seconds = device.switch_seconds
    lost = DEFAULT_SWITCH_SECONDS if seconds is None else seconds
    return round(max(0, earning_micro_per_hour) * lost / SECONDS_PER_HOUR)
