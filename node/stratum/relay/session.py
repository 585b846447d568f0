"""One miner's conversation in Grin's stratum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from node.errors import SubmissionReason, SubmissionRefused
from node.stratum.discipline import Discipline
from node.stratum.relay import wire
from node.stratum.relay.jobs import RelayBook, RelayShare
from node.stratum.relay.wire import BadLine, Request
from node.stratum.vardiff import Vardiff

#: Called with the login and a share that was taken.
OnShare = Callable[[str, RelayShare], None]


@dataclass(slots=True)
class RelaySession:
    book: RelayBook
    discipline: Discipline
    on_share: OnShare
    address: str
    vardiff: Vardiff
    login: str = ""
    shares: Counter[str] = field(default_factory=Counter)
    """By outcome, of this connection."""

    @property
    def account(self) -> bytes:
        return self.login.encode()

    def answer(self, line: bytes) -> bytes:
        try:
            request = wire.read_request(line)
        except BadLine as error:
            self.discipline.note_bad_line(self.address)
            return wire.refuse(None, "", error.code, str(error))
        try:
            return self._answer(request)
        except BadLine as error:
            return wire.refuse(request.id, request.method, error.code, str(error))

    def news(self) -> bytes:
        return wire.news(self._template()) if self.book.current is not None else b""

    def _answer(self, request: Request) -> bytes:
        method = _METHODS.get(request.method)
        if method is None:
            self.discipline.note_bad_line(self.address)
            raise BadLine("Method not found", wire.NO_METHOD)
        if not self.login and method is not RelaySession._log_in:
            raise BadLine("login first", wire.LOGIN_FIRST)
        return method(self, request)

    def _log_in(self, request: Request) -> bytes:
        self.login = wire.read_login(request.params).login
        return wire.answer(request, "ok")

    def _get_job(self, request: Request) -> bytes:
        return wire.answer(request, self._template())

    def _template(self) -> dict[str, Any]:
        """The newest job at this miner's own difficulty. Raises `BadLine`."""
        job = self.book.current
        if job is None:
            raise BadLine("no work: the pool behind is lost - Please wait", wire.NO_WORK)
        now = self.discipline.clock()
        return job.template(self.vardiff.choose(job.number, job.difficulty, now))

    def _submit(self, request: Request) -> bytes:
        try:
            solution = wire.read_solution(request.params)
            share = self.book.judge(self.vardiff.difficulty_at, solution)
        except SubmissionRefused as refused:
            self.shares[refused.reason] += 1
            self.discipline.note_refused(self.login, self.address, refused)
            return wire.refuse_share(request, refused)
        self.shares["accepted"] += 1
        self.vardiff.note(share.difficulty)
        self.discipline.note_accepted(self.address, share.difficulty)
        self.on_share(self.login, share)
        return wire.answer(request, "ok")

    def _keep_alive(self, request: Request) -> bytes:
        return wire.answer(request, "ok")

    def _status(self, request: Request) -> bytes:
        job, stale = self.book.current, self.shares[SubmissionReason.STALE]
        accepted = self.shares["accepted"]
        return wire.answer(
            request,
            {
                "id": self.login,
                "height": job.height if job else 0,
                "difficulty": self.vardiff.difficulty(),
                "accepted": accepted,
                "rejected": self.shares.total() - accepted - stale,
                "stale": stale,
            },
        )


_METHODS = {
    "login": RelaySession._log_in,
    "getjobtemplate": RelaySession._get_job,
    "submit": RelaySession._submit,
    "keepalive": RelaySession._keep_alive,
    "status": RelaySession._status,
}
