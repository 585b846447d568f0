"""What becomes of solutions: each is verified, held against the newest work, and sent.

A solution of older work is sent only where it may still make a whole block: at the height of the
newest work (a template of the same height with other transactions). One of a lower height is
dropped and counted as stale, without a message, and so is a second cycle of one graph.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.base import CuckooSolution
from drivers.errors import WrongAnswer
from farmctl.bus import Bus
from farmctl.errors import BusError
from farmctl.messages import ShareEvent, ShareOutcome, Submission, SubmissionReply, Work
from farmctl.mining.task import Task, judge
from farmctl.workloads.base import Place
from node.spec.cuckoo import Verdict

log = logging.getLogger(__name__)
#: A solution that is not sent costs a verification, 10 ms, at most this often.
CHECK_SECONDS = 5.0
SUBMIT_ATTEMPTS = 3
RETRY_SECONDS = 0.5


@dataclass
class Shares:
    """Sends the solutions of one device."""

    place: Place
    newest: Callable[[], Work | None]
    """The work that the node offers now."""
    clock: Callable[[], float] = time.monotonic
    _verified: float = -math.inf
    """When a solution was last verified."""
    _sent: tuple[str, int] | None = None
    """Work and nonce of what was sent last: a node takes one cycle of a graph."""

    async def take(self, bus: Bus, task: Task, solution: CuckooSolution) -> None:
        """Send it if it meets the target. Raises `WrongAnswer` for a solution that is none.

        Every solution that is to be sent is verified first; of the others one each
        `CHECK_SECONDS`, so that a device which computes wrongly is known before its first share."""
        sound = task.holds(solution.edges)
        wanted = sound and task.meets_target(solution.edges)
        if wanted or not sound or self.clock() - self._verified >= CHECK_SECONDS:
            await self._verify(task, solution)
        if wanted:
            await self._deliver(bus, task.work, solution)

    async def _verify(self, task: Task, solution: CuckooSolution) -> None:
        verdict = await asyncio.to_thread(judge, task, solution)
        if verdict is not Verdict.OK:
            detail = f"its solution of graph {solution.nonce} is wrong: {verdict.name.lower()}"
            self._tell(task.work, "invalid", detail)
            raise WrongAnswer(f"{self.place.device_id}: {detail}; nothing was sent")
        self._verified = self.clock()

    async def _deliver(self, bus: Bus, work: Work, solution: CuckooSolution) -> None:
        if why := self._objection(work, solution):
            self._tell(work, "stale", f"not sent: {why}")
            return
        self._sent = (work.seal_hash, solution.nonce)
        outcome, detail = await self._send(bus, work, solution)
        self._tell(work, outcome, detail)

    def _objection(self, work: Work, solution: CuckooSolution) -> str:
        """Why a right solution is worth nothing, if it is not."""
        newest = self.newest()
        if newest is not None and newest.height > work.height:
            return f"the work is at height {newest.height} by now"
        if self._sent == (work.seal_hash, solution.nonce):
            return "another cycle of the same graph was"
        return ""

    async def _send(
        self, bus: Bus, work: Work, solution: CuckooSolution
    ) -> tuple[ShareOutcome, str]:
        """Send, again where no reply comes."""
        submission = Submission(
            chain=work.chain,
            seal_hash=work.seal_hash,
            nonce=solution.nonce,
            edges=solution.edges,
            worker=self.place.device,
        )
        for attempt in range(SUBMIT_ATTEMPTS):
            try:
                reply = await bus.request("node.submit", submission, SubmissionReply)
            except BusError as error:
                log.warning("submission failed: %s", error)
                await asyncio.sleep(RETRY_SECONDS * (attempt + 1))
                continue
            taken = reply.duplicate and attempt > 0  # Its first reply was lost on the way.
            return "accepted" if taken else reply.outcome, reply.detail
        return "stale", "the node could not be reached"

    def _tell(self, work: Work, outcome: ShareOutcome, detail: str) -> None:
        self.place.emit(
            ShareEvent(
                device=self.place.device_id,
                chain=work.chain,
                outcome=outcome,
                height=work.height,
                detail=detail,
            )
        )
