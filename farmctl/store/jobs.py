"""Jobs and their progress. Progress is cumulative: a repeat or an older one changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, func, or_, select

from farmctl.domain import Job, JobState
from farmctl.messages import JobProgress
from farmctl.store.engine import Transaction
from farmctl.store.schema import JobRow, LossRow

FINAL = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})
#: A loss curve is thinned to this many points when it is read.
CURVE_POINTS = 500
#: Points kept of a job's curve; beyond them every second one is dropped.
CURVE_LIMIT = 4000


@dataclass(frozen=True)
class JobRecord:
    """A job with what the store knows beyond `Job`."""

    job: Job
    quoted_total_micro: int
    generation: int
    checkpoint: str | None
    results: dict[str, str]
    preemptions: int


def add(tx: Transaction, job: Job, quoted_total_micro: int = 0) -> None:
    tx.add(
        JobRow(
            id=job.id,
            customer=job.customer,
            name=job.name,
            kind=job.kind,
            parameters=dict(job.parameters),
            state=job.state,
            interruptible=job.interruptible,
            price_micro_per_hour=job.price_micro_per_hour,
            quoted_total_micro=quoted_total_micro,
            created=job.created,
            total_steps=job.total_steps,
            results={},
        )
    )


def find(tx: Transaction, identity: str) -> JobRecord | None:
    row = tx.get(JobRow, identity)
    return None if row is None else _record(row)


def recent(tx: Transaction, limit: int, before: str | None = None) -> list[JobRecord]:
    """Newest first, from the one that follows ``before``; none follows an unknown one."""
    query = select(JobRow).order_by(JobRow.created.desc(), JobRow.id).limit(limit)
    if before is not None:
        created = select(JobRow.created).where(JobRow.id == before).scalar_subquery()
        same_time = (JobRow.created == created) & (JobRow.id > before)
        query = query.where(or_(JobRow.created < created, same_time))
    return [_record(row) for row in tx.scalars(query)]


def open_jobs(tx: Transaction) -> list[JobRecord]:
    """Those that are not at an end, oldest first; with them those whose device still holds on."""
    unfinished = JobRow.state.not_in([str(state) for state in FINAL])
    query = select(JobRow).where(unfinished).order_by(JobRow.created, JobRow.id)
    return [_record(row) for row in tx.scalars(query)]


def assign(tx: Transaction, placements: Iterable[tuple[str, str]]) -> None:
    """Note the device that is to run each job: pairs of job and device key."""
    for identity, device in placements:
        row = tx.get(JobRow, identity)
        if row is not None:
            row.device = device


def release(tx: Transaction, device: str, keeps: str | None) -> list[str]:
    """The device runs ``keeps`` (or no job) now: any other job it held waits for a new one."""
    held = tx.scalars(select(JobRow).where(JobRow.device == device)).all()
    released = [row for row in held if row.id != keeps and row.state not in FINAL]
    for row in released:
        row.device = None
        if row.state == JobState.RUNNING:
            row.state = JobState.PREEMPTED
            row.preemptions += 1
    return [row.id for row in released]


def record_progress(tx: Transaction, progress: JobProgress, device: str) -> bool:
    """Take over a report. False where it changes nothing: the job is at an end, a newer
    generation has reported, or the report is behind what this generation has said. A newer
    generation may begin at an earlier step: its predecessor's died with it."""
    row = tx.get(JobRow, progress.job_id)
    if row is None or row.state in FINAL:
        return False
    # A failure counts at any step: it may come before the steps that a crash undid.
    behind = (progress.generation, progress.steps_done) < (row.generation, row.steps_done)
    fails = progress.state is JobState.FAILED and progress.generation == row.generation
    if behind and not fails:
        return False
    was = row.state
    row.generation, row.state = progress.generation, progress.state
    if not behind:
        row.steps_done = progress.steps_done
        row.device_seconds = progress.device_seconds
    row.checkpoint = progress.checkpoint or row.checkpoint
    row.results = row.results | progress.results
    row.detail = progress.detail
    row.device = device if progress.state is JobState.RUNNING else None
    if progress.state is JobState.PREEMPTED and was != JobState.PREEMPTED:
        row.preemptions += 1
    if progress.loss is not None and progress.steps_done > 0:
        tx.merge(LossRow(job=row.id, step=progress.steps_done, loss=progress.loss))
        _thin_curve(tx, row.id)
    return True


def _thin_curve(tx: Transaction, identity: str) -> None:
    of_job = LossRow.job == identity
    count = tx.scalar(select(func.count()).select_from(LossRow).where(of_job)) or 0
    if count > CURVE_LIMIT:
        steps = tx.scalars(select(LossRow.step).where(of_job).order_by(LossRow.step)).all()
        tx.execute(delete(LossRow).where(of_job, LossRow.step.in_(steps[1:-1:2])))


def cancel(tx: Transaction, identity: str, detail: str) -> bool:
    """False if the job is at an end already."""
    row = tx.get(JobRow, identity)
    if row is None or row.state in FINAL:
        return False
    row.state, row.detail = JobState.CANCELLED, detail
    return True


def losses(tx: Transaction, identity: str, points: int = CURVE_POINTS) -> list[tuple[int, float]]:
    """Step and loss, evenly thinned; the last one is always there."""
    query = select(LossRow.step, LossRow.loss).where(LossRow.job == identity).order_by(LossRow.step)
    curve = [(int(step), float(loss)) for step, loss in tx.execute(query)]
    stride = max(1, -(-len(curve) // points))
    return curve[::-1][::stride][::-1]


def prune(tx: Transaction, before: float) -> None:
    """Forget jobs that have ended and were ordered before a time, with their curves. What was
    invoiced stays in the books."""
    final = JobRow.state.in_([str(state) for state in FINAL])
    old = select(JobRow.id).where(final, JobRow.created < before)
    tx.execute(delete(LossRow).where(LossRow.job.in_(old)))
    tx.execute(delete(JobRow).where(JobRow.id.in_(old)))


def artifacts(tx: Transaction) -> frozenset[str]:
    """Ids of every file that a job refers to: its checkpoint while it runs, its results."""
    kept: set[str] = set()
    for checkpoint, results, state in tx.execute(
        select(JobRow.checkpoint, JobRow.results, JobRow.state)
    ):
        kept.update(str(value) for value in results.values())
        if checkpoint and state not in FINAL:
            kept.add(checkpoint)
    return frozenset(kept)


def _record(row: JobRow) -> JobRecord:
    job = Job(
        id=row.id,
        customer=row.customer,
        name=row.name,
        kind=row.kind,
        parameters=row.parameters,
        state=JobState(row.state),
        interruptible=row.interruptible,
        price_micro_per_hour=row.price_micro_per_hour,
        created=row.created,
        total_steps=row.total_steps,
        steps_done=row.steps_done,
        device_seconds=row.device_seconds,
        device=row.device,
        detail=row.detail,
    )
    return JobRecord(
        job, row.quoted_total_micro, row.generation, row.checkpoint, row.results, row.preemptions
    )
