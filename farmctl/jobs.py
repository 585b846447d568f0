"""Training jobs: submitted, cancelled; their progress comes by `farmctl.reports`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from farmctl.domain import Job, JobState, Plan
from farmctl.errors import Conflict, NotFound, Refused
from farmctl.market import settlement
from farmctl.store import Store, Transaction, audit, jobs
from farmctl.store.jobs import JobRecord

#: Jobs not at an end at one time.
QUEUE_LIMIT = 1000


@dataclass(frozen=True)
class NewJob:
    customer: str
    name: str
    kind: str
    parameters: Mapping[str, str]
    interruptible: bool
    price_micro_per_hour: int
    total_steps: int
    quoted_total_micro: int = 0


@dataclass
class JobQueue:
    store: Store
    decide: Callable[[], Awaitable[Plan | None]]
    clock: Callable[[], float] = time.time

    async def submit(
        self, new: NewJob, by: str, accept: Callable[[Transaction, Job], None]
    ) -> JobRecord:
        """Queue a job; the planner places it. ``accept`` runs in the same transaction: if it
        raises, there is no job. Raises `Refused` when the queue is full."""
        job = self._job(new)
        with self.store.begin() as tx:
            if len(jobs.open_jobs(tx)) >= QUEUE_LIMIT:
                raise Refused(f"{QUEUE_LIMIT} jobs wait already; try later")
            jobs.add(tx, job, new.quoted_total_micro)
            accept(tx, job)
            audit.append(tx, job.created, by, "submit", job.id, job.name)
        await self.decide()
        return self.find(job.id)

    def _job(self, new: NewJob) -> Job:
        return Job(
            id=secrets.token_hex(8),
            customer=new.customer,
            name=new.name,
            kind=new.kind,
            parameters=dict(new.parameters),
            state=JobState.QUEUED,
            interruptible=new.interruptible,
            price_micro_per_hour=new.price_micro_per_hour,
            created=self.clock(),
            total_steps=new.total_steps,
            steps_done=0,
            device_seconds=0.0,
        )

    def find(self, identity: str) -> JobRecord:
        with self.store.begin() as tx:
            record = jobs.find(tx, identity)
        if record is None:
            raise NotFound(f"there is no job {identity}; `farmctl job list` lists them")
        return record

    async def cancel(self, identity: str, by: str) -> JobRecord:
        """End a job; raises `Conflict` if it is at an end already."""
        self.find(identity)
        with self.store.begin() as tx:
            if not jobs.cancel(tx, identity, f"cancelled by {by}"):
                raise Conflict(f"job {identity} is at an end already")
            audit.append(tx, self.clock(), by, "cancel", identity)
            if cancelled := jobs.find(tx, identity):
                settlement.settle(tx, cancelled, self.clock())
        await self.decide()
        return self.find(identity)
