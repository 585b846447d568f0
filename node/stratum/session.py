"""One miner's conversation: what each line is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from node.errors import SubmissionRefused
from node.stratum import wire
from node.stratum.jobs import share_target
from node.stratum.vardiff import Vardiff
from node.stratum.wire import BadLine, Ident, Request

if TYPE_CHECKING:
    from node.stratum.jobs import Template
    from node.stratum.pool import Pool

PREFIXES = ("ctxc_", "eth_")


class Miner(Protocol):
    """A miner's conversation in any protocol."""

    address: str
    """Network address."""

    @property
    def account(self) -> bytes:
        """Empty before the login."""

    def answer(self, line: bytes) -> bytes:
        """The reply to a line, line feed and all."""

    def news(self) -> bytes:
        """The newest job, as it is told unasked; empty where there is none."""


@dataclass(slots=True)
class Session:
    pool: Pool
    address: str
    """Network address of the miner."""
    extranonce: int
    is_solo: bool
    vardiff: Vardiff
    account: bytes = b""
    """Empty before the login."""
    worker: str = ""

    def answer(self, line: bytes) -> bytes:
        """The reply, line feed and all."""
        try:
            request = wire.read_request(line)
        except BadLine as error:
            self.pool.discipline.note_bad_line(self.address)
            return wire.refuse(None, error.code, str(error))
        try:
            return self._answer(request)
        except BadLine as error:
            return wire.refuse(request.id, error.code, str(error))

    def _answer(self, request: Request) -> bytes:
        method = _METHODS.get(_bare(request.method))
        if method is None:
            self.pool.discipline.note_bad_line(self.address)
            raise BadLine(f"the method {request.method} does not exist here", wire.NO_METHOD)
        if not self.account and method is not Session._log_in:
            raise BadLine("log in first", wire.NOT_LOGGED_IN)
        return method(self, request)

    def _log_in(self, request: Request) -> bytes:
        params: list[Any] = request.params or [""]
        account, named = wire.read_address(params[0])
        self.worker = wire.check_worker(request.worker or named)
        self.account = account
        return wire.yes(request.id)

    def _get_work(self, request: Request) -> bytes:
        template = self.pool.book.current
        if template is None:
            raise BadLine("no mining work available yet", wire.NO_WORK)
        return self.job(template, request.id)

    def news(self) -> bytes:
        template = self.pool.book.current
        return b"" if template is None else self.job(template)

    def job(self, template: Template, ident: Ident = wire.NEWS) -> bytes:
        """A line with this miner's own variant of a template, at its own difficulty."""
        now = self.pool.clock()
        difficulty = self.vardiff.choose(template.number, template.difficulty, now)
        seal_hash = template.seal_hash(self.extranonce)
        return wire.job(ident, seal_hash, share_target(difficulty), template.height)

    def _submit(self, request: Request) -> bytes:
        try:
            solution = wire.read_solution(request.params)
            share = self.pool.book.judge(self.extranonce, self.vardiff.difficulty_at, solution)
        except SubmissionRefused as refused:
            self.pool.note_refused(self, refused)
            return wire.refuse_share(request.id, refused)
        self.vardiff.note(share.difficulty)
        self.pool.note_accepted(self, share)
        return wire.yes(request.id)

    def _report_rate(self, request: Request) -> bytes:
        """A miner's word on its own speed; what the pool knows it counts itself."""
        return wire.yes(request.id)


_METHODS = {
    "submitLogin": Session._log_in,
    "getWork": Session._get_work,
    "submitWork": Session._submit,
    "submitHashrate": Session._report_rate,
    "submitHashRate": Session._report_rate,
}


def _bare(method: str) -> str:
    for prefix in PREFIXES:
        if method.startswith(prefix):
            return method.removeprefix(prefix)
    return ""
