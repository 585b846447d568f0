"""Nothing to do: the device rests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from farmctl.messages import AssignmentMessage
from farmctl.workloads.base import Activity, Place


class Idle:
    async def start(self) -> None:
        """There is nothing to start."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """There is nothing to stop."""

    def rates(self) -> Mapping[str, float]:
        return {}


def create(place: Place, assignment: AssignmentMessage) -> Activity:
    return Idle()
