"""The rig's part of the newest plan, kept on its disk."""

from __future__ import annotations

import logging
from pathlib import Path

from farmctl.errors import BadRequest, Conflict
from farmctl.files import sweep, write_atomic
from farmctl.messages import RigPlan

log = logging.getLogger(__name__)

#: Parameter that the controller brings up to date when it sends a plan again.
_CHECKPOINT = "checkpoint"


def _essence(plan: RigPlan) -> RigPlan:
    """The plan without the checkpoints that its jobs had when it was sent."""
    assignments = tuple(
        one.model_copy(
            update={"parameters": {k: v for k, v in one.parameters.items() if k != _CHECKPOINT}}
        )
        for one in plan.assignments
    )
    return plan.model_copy(update={"assignments": assignments})


class PlanFile:
    """Holds one plan; numbers only grow."""

    def __init__(self, path: Path, rig: str) -> None:
        self._path = path
        self._rig = rig
        sweep(path)
        self.plan: RigPlan | None = self._read()

    @property
    def number(self) -> int:
        return 0 if self.plan is None else self.plan.number

    def accept(self, plan: RigPlan) -> bool:
        """Keep a newer plan; False when it is the one held already.

        Raises `Conflict` for an older one or another one of the same number, `BadRequest` for
        another rig's, `StoreError` when the disk does not take it.
        """
        if plan.rig != self._rig:
            raise BadRequest(f"plan {plan.number} is for rig {plan.rig}, not {self._rig}")
        if len({a.device for a in plan.assignments}) != len(plan.assignments):
            raise BadRequest(f"plan {plan.number} names a device twice")
        if self.plan is not None and plan.number <= self.plan.number:
            if _essence(plan) == _essence(self.plan):
                return False
            raise Conflict(f"refused plan {plan.number}: plan {self.plan.number} is in force")
        write_atomic(self._path, plan.model_dump_json().encode())
        self.plan = plan
        return True

    def _read(self) -> RigPlan | None:
        try:
            return RigPlan.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.error("%s is damaged and is left aside: %s", self._path, error)
            return None
