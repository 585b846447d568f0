"""The planner: a pure function from policy, inventory and market to a numbered plan.

No I/O, no clock, no randomness: the same inputs give the same plan, so that each decision can be
replayed from what the store kept of it.
"""

from farmctl.planner.assign import plan
from farmctl.planner.inputs import Inventory, Market, PlannedDevice, Policy

__all__ = ["Inventory", "Market", "PlannedDevice", "Policy", "plan"]
