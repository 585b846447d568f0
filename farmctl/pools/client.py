"""A pool or node that gives work to the farm: what is common to every protocol.

Nothing that a pool says is trusted: a line that is no stratum, a job that nobody can search, or
silence ends the connection. No share is sent that the pool would not take.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from farmctl.messages import Submission, SubmissionReply, Work
from farmctl.mining.task import make_work
from farmctl.pools.connection import PoolConnection, PoolLost, Said, read_password
from farmctl.pools.settings import PoolSection
from node.spec.pow import ProofOfWork, ProofVerifier

#: Work is asked for so often, and the answer shows that the pool lives.
HEARTBEAT_SECONDS = 20.0
MAX_JOBS = 16
MAX_SENT = 4096


@dataclass(frozen=True)
class Job:
    header: bytes
    """What the nonce is appended to."""
    target: int
    height: int
    ident: int = 0
    """The pool's number for it, where it has one."""
    difficulty: int = 0
    """The pool's own word for the target, where it has one."""


class PoolClient(ABC):
    """``on_job`` is called with each new job, on the event loop. ``name`` is that of what is
    mined, ``pow`` its proof of work."""

    def __init__(
        self,
        pool: PoolSection,
        name: str,
        pow: ProofOfWork,
        verify: ProofVerifier,
        on_job: Callable[[Work], None],
    ) -> None:
        self.pool, self.on_job = pool, on_job
        self._name, self._pow, self._verify = name, pow, verify
        self._connection = PoolConnection(pool, self._hear)
        self._jobs: OrderedDict[bytes, Job] = OrderedDict()
        self._sent: OrderedDict[tuple[bytes, int], None] = OrderedDict()

    async def open(self) -> Work:
        """Connect, log in, and return the first work. Raises `PoolLost`."""
        password = read_password(self.pool.password_file)
        await self._connection.open()
        await self._log_in(password)
        await self._get_work()
        return self.work()

    def job(self) -> Job:
        """The newest. Raises `PoolLost` before the first."""
        if not self._jobs:
            raise PoolLost("the pool gave no work")
        return next(reversed(self._jobs.values()))

    def work(self) -> Work:
        """The newest job as devices search it. Raises `PoolLost` before the first."""
        job = self.job()
        return make_work(self._name, self._pow, job.header, job.target, job.height)

    async def stay(self) -> None:
        """Until the pool is lost: raises `PoolLost`."""
        while True:
            await self._connection.listen_for(HEARTBEAT_SECONDS)
            await self._get_work()

    async def submit(self, submission: Submission) -> SubmissionReply:
        """Send a share that the pool will take; say of any other what is wrong with it."""
        header, edges = bytes.fromhex(submission.seal_hash), submission.edges
        job = self._jobs.get(header)
        if job is None:
            return SubmissionReply(outcome="stale", detail="not sent: the pool's job is too old")
        if refusal := self._objection(job, submission.nonce, edges):
            return refusal
        self._sent[header, submission.nonce] = None
        while len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)
        try:
            return await self._send(job, submission.nonce, edges)
        except PoolLost as lost:
            return SubmissionReply(outcome="stale", detail=str(lost))

    def _objection(self, job: Job, nonce: int, edges: tuple[int, ...]) -> SubmissionReply | None:
        if (job.header, nonce) in self._sent:
            return SubmissionReply(
                outcome="rejected", duplicate=True, detail="not sent: it was sent before"
            )
        if not self._pow.is_proof(edges) or self._pow.digest(edges) > job.target:
            return SubmissionReply(outcome="rejected", detail="not sent: above the job's target")
        if not self._verify(self._pow, job.header, nonce, edges):
            return SubmissionReply(outcome="rejected", detail="not sent: the edges are no cycle")
        return None

    async def close(self) -> None:
        await self._connection.close()

    def _take(self, job: Job) -> None:
        """Make a job the newest."""
        newest = next(reversed(self._jobs.values()), None)
        self._jobs.pop(job.header, None)
        self._jobs[job.header] = job
        while len(self._jobs) > MAX_JOBS:
            self._jobs.popitem(last=False)
        if job != newest:
            self.on_job(self.work())

    @abstractmethod
    async def _log_in(self, password: str) -> None:
        """Raises `PoolLost`."""

    @abstractmethod
    async def _get_work(self) -> None:
        """Ask for the newest job and take it. Raises `PoolLost`."""

    @abstractmethod
    async def _send(self, job: Job, nonce: int, edges: tuple[int, ...]) -> SubmissionReply:
        """Raises `PoolLost`."""

    @abstractmethod
    def _hear(self, said: Said) -> None:
        """A line that was not asked for. Raises `PoolLost`."""
