"""The market as the planner sees it, and what the farm earns now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from farmctl import planner
from farmctl.config import Config
from farmctl.domain import Workload
from farmctl.messages import NodeStatus
from farmctl.planner import PlannedDevice, economics
from farmctl.store import Transaction, jobs
from node.chains import find_chain

WEI_PER_COIN = 10**18


@dataclass(frozen=True)
class Earnings:
    """Of the whole farm now, per hour."""

    revenue_micro: int
    power_micro: int | None
    """None while no device reports its power."""

    @property
    def net_micro(self) -> int:
        return self.revenue_micro - (self.power_micro or 0)


@dataclass
class Economy:
    config: Config
    node: Callable[[], NodeStatus | None]

    def market(self, tx: Transaction) -> planner.Market:
        """Prices by the configuration, difficulty by the node, work by the job queue."""
        status, prices = self.node(), self.config.economy
        return planner.Market(
            coin_price_micro=prices.coin_price_micro,
            reward_coins_per_block=self._reward_coins(status.height if status else 0),
            graphs_per_block=economics.graphs_per_block(status.difficulty) if status else None,
            power_price_micro_per_kilowatt_hour=prices.power_price_micro_per_kilowatt_hour,
            jobs=tuple(record.job for record in jobs.open_jobs(tx)),
        )

    def _reward_coins(self, height: int) -> float:
        chain = find_chain(self.config.node.chain)
        halvings = height // chain.reward_halving_blocks
        return (chain.reward_wei >> halvings) / WEI_PER_COIN

    def net_by_workload(self, device: PlannedDevice, market: planner.Market) -> dict[Workload, int]:
        price = self.config.economy.train_price_micro_per_hour
        return economics.net_by_workload(device, market, price)

    def earnings(self, devices: planner.Inventory, market: planner.Market) -> Earnings:
        prices = {job.id: job.price_micro_per_hour for job in market.jobs}
        revenue, power = (
            0,
            [economics.power_cost_micro_per_hour(d, market) for d in devices.devices],
        )
        for planned in devices.devices:
            if planned.offline:
                continue
            if planned.device.workload is Workload.MINE:
                revenue += economics.mining_revenue_micro_per_hour(planned, market) or 0
            elif planned.device.job_id:
                revenue += prices.get(planned.device.job_id, 0)
        known = [cost for cost in power if cost is not None]
        return Earnings(revenue, sum(known) if known else None)
