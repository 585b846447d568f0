"""Proof-of-work mining for the farm's own node: Cuckaroo cycles, each verified before it is
submitted."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping

from drivers.base import Capability, CuckooJob, CuckooSolution
from drivers.worker import WorkerSession, open_session
from farmctl.agent.rate import Rate
from farmctl.bus import Bus
from farmctl.errors import BusError
from farmctl.messages import (
    AssignmentMessage,
    Message,
    ShareEvent,
    Submission,
    SubmissionReply,
    Work,
)
from farmctl.workloads.base import Place
from node.spec.cuckoo import solution_hash

log = logging.getLogger(__name__)
#: A search lasts about this long, so that new work and a switch need not wait.
SEARCH_SECONDS = 0.5
#: Work is asked for again after this, in case an announcement was lost.
POLL_SECONDS = 3.0
SUBMIT_ATTEMPTS = 3
SESSION_DEADLINE_SECONDS = 600.0
BITS_PER_RANGE = 32


def first_nonce(device: str, run_id: str, seal_hash: str) -> int:
    """Start of a device's own range of 2^32 nonces for a piece of work. The upper half is a
    hash, so that devices need not agree on their ranges."""
    digest = hashlib.blake2b(f"{device}|{run_id}|{seal_hash}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") << BITS_PER_RANGE


def meets_target(edges: tuple[int, ...], target: str) -> bool:
    return int.from_bytes(solution_hash(edges), "big") <= int(target, 16)


OPTIONS = frozenset({"threads"})


class Mine:
    def __init__(self, place: Place, options: Mapping[str, int]) -> None:
        self._place = place
        self._options = options
        self._session: WorkerSession | None = None
        self._work: Work | None = None
        self._changed = asyncio.Event()
        self._leaving = False
        self._searching = asyncio.Lock()
        self._graphs = Rate()
        self._batch = 1

    async def start(self) -> None:
        self._session = await asyncio.to_thread(
            open_session,
            self._place.family,
            self._place.device_id,
            Capability.CUCKOO,
            SESSION_DEADLINE_SECONDS,
            **self._options,
        )

    async def stop(self) -> None:
        self._leaving = True
        async with self._searching:
            session, self._session = self._session, None
            if session is not None:
                await asyncio.to_thread(session.close)

    def rates(self) -> Mapping[str, float]:
        return {"graphs_per_second": self._graphs.per_second()}

    async def run(self) -> None:
        bus = await self._place.link.wait()
        news = await bus.subscribe("node.work.new", Work, self._hear)
        polling = asyncio.create_task(self._poll(bus))
        try:
            while not self._leaving:
                await self._mine(bus, await self._next_work())
        finally:
            polling.cancel()
            await news.stop()

    async def _hear(self, _subject: str, work: Work) -> None:
        self._take(work)

    def _take(self, work: Work) -> None:
        if self._work is not None and work == self._work:
            return
        self._work = work
        self._changed.set()

    async def _poll(self, bus: Bus) -> None:
        while True:
            try:
                self._take(await bus.request("node.work", Message(), Work))
            except BusError as error:
                log.info("no work from the node: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def _next_work(self) -> Work:
        while self._work is None or not self._work.available:
            self._changed.clear()
            await self._changed.wait()
        self._changed.clear()
        return self._work

    async def _mine(self, bus: Bus, work: Work) -> None:
        """Search the device's range for ``work`` until there is other work."""
        job = CuckooJob(
            bytes.fromhex(work.seal_hash),
            work.edge_bits,
            (work.compression_rounds, work.finalisation_rounds),
            work.proof_size,
        )
        nonce = first_nonce(self._place.device, self._place.run_id, work.seal_hash)
        while self._work is work and not self._leaving:
            done, solutions = await self._search(job, nonce, work)
            nonce += done
            for solution in solutions:
                if meets_target(solution.edges, work.target):
                    await self.submit(bus, work, solution)

    async def _search(
        self, job: CuckooJob, nonce: int, work: Work
    ) -> tuple[int, list[CuckooSolution]]:
        """Search one batch, which new work and a switch cut short."""

        def should_stop() -> bool:
            return self._leaving or self._work is not work

        async with self._searching:
            if self._session is None:
                return 0, []
            began = time.monotonic()
            search = self._session.search
            done, solutions = await asyncio.to_thread(search, job, nonce, self._batch, should_stop)
            self._measure(done, time.monotonic() - began)
            return done, solutions

    def _measure(self, graphs: int, seconds: float) -> None:
        if graphs:
            self._graphs.add(graphs, seconds)
            wanted = int(SEARCH_SECONDS * graphs / max(seconds, 1e-6))
            self._batch = max(1, min(2 * self._batch, wanted))

    async def submit(self, bus: Bus, work: Work, solution: CuckooSolution) -> None:
        """Send a verified solution, again where no reply comes, and tell what became of it."""
        submission = Submission(
            chain=work.chain,
            seal_hash=work.seal_hash,
            nonce=solution.nonce,
            edges=solution.edges,
            worker=self._place.device,
        )
        reply = SubmissionReply(outcome="stale", detail="the node could not be reached")
        for attempt in range(SUBMIT_ATTEMPTS):
            try:
                reply = await bus.request("node.submit", submission, SubmissionReply)
                break
            except BusError as error:
                log.warning("submission failed: %s", error)
                await asyncio.sleep(0.5 * (attempt + 1))
        taken = reply.duplicate and attempt > 0  # Its first reply was lost on the way.
        self._place.emit(
            ShareEvent(
                device=self._place.device_id,
                chain=work.chain,
                outcome="accepted" if taken else reply.outcome,
                height=work.height,
                detail=reply.detail,
            )
        )


def create(place: Place, assignment: AssignmentMessage) -> Mine:
    """Parameter ``threads``: of a processor; the driver's choice where it is left out."""
    options = {
        name: int(assignment.parameters[name]) for name in OPTIONS & assignment.parameters.keys()
    }
    return Mine(place, options)
