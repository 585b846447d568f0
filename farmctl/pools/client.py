"""One connection to a pool that speaks Cortex's stratum (cortex-protocol §3).

Nothing that a pool says is trusted: a line that is no stratum, a job that nobody can search, or
silence ends the connection. No share is sent that the pool would not take.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farmctl.errors import FarmError
from farmctl.messages import Submission, SubmissionReply, Work
from farmctl.pools.settings import PoolSection
from node.spec.chain import Chain
from node.spec.cuckoo import graph_header, solution_bytes, solution_hash
from node.spec.seal import CycleVerifier

CONNECT_SECONDS = 10.0
#: Devices wait for a reply five seconds.
ANSWER_SECONDS = 4.0
#: Work is asked for so often, and the answer shows that the pool lives.
HEARTBEAT_SECONDS = 20.0
MAX_LINE_BYTES = 16 * 1024
MAX_LINES_PER_SECOND = 500
MAX_JOBS = 16
MAX_SENT = 4096
MAX_WAITING = 64
NEWS, LOGIN, GET_WORK, FIRST_SHARE = 0, 72, 100, 1000
#: Codes by which pools tell stale and repeated shares.
STALE, DUPLICATE = 21, 22


class PoolLost(FarmError):
    """The pool cannot be used now; the message says why."""


@dataclass(frozen=True)
class Job:
    seal_hash: bytes
    target: int
    height: int


class PoolClient:
    """``on_job`` is called with each new job, on the event loop."""

    def __init__(
        self,
        pool: PoolSection,
        chain: Chain,
        verify_cycle: CycleVerifier,
        on_job: Callable[[Work], None] = lambda work: None,
    ) -> None:
        self.pool, self.on_job = pool, on_job
        self._chain, self._verify_cycle = chain, verify_cycle
        self._jobs: OrderedDict[bytes, Job] = OrderedDict()
        self._sent: OrderedDict[tuple[bytes, int], None] = OrderedDict()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ident = FIRST_SHARE
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> Work:
        """Connect, log in, and return the first work. Raises `PoolLost`."""
        password = read_password(self.pool.password_file)
        host, port = self.pool.address
        try:
            async with asyncio.timeout(CONNECT_SECONDS):  # wait_for may lose a cancellation
                reader, self._writer = await asyncio.open_connection(
                    host, port, limit=MAX_LINE_BYTES, ssl=_tls(self.pool)
                )
        except (OSError, TimeoutError) as error:
            raise PoolLost(f"{host}:{port} cannot be reached: {error or 'no answer'}") from error
        self._listening = asyncio.create_task(self._listen(reader))
        params = [self.pool.user, *([password] if password else [])]
        said = await self._ask(LOGIN, "ctxc_submitLogin", params)
        if said.get("result") is not True:
            raise PoolLost(f"the pool refuses the login: {_reason(said)}")
        await self._get_work()
        return self.work()

    def work(self) -> Work:
        """The newest job. Raises `PoolLost` before the first."""
        if not self._jobs:
            raise PoolLost("the pool gave no work")
        job = next(reversed(self._jobs.values()))
        return Work(
            chain=self._chain.name,
            seal_hash=job.seal_hash.hex(),
            target=job.target.to_bytes(32, "big").hex(),
            height=job.height,
            edge_bits=self._chain.edge_bits,
            compression_rounds=self._chain.rounds[0],
            finalisation_rounds=self._chain.rounds[1],
            proof_size=self._chain.proof_size,
        )

    async def stay(self) -> None:
        """Until the pool is lost: raises `PoolLost`."""
        while True:
            listening = self._listening
            if listening is None:
                raise PoolLost("not connected")
            await asyncio.wait([listening], timeout=HEARTBEAT_SECONDS)
            if listening.done():
                listening.result()
            await self._get_work()

    async def submit(self, submission: Submission) -> SubmissionReply:
        """Send a share that the pool will take; say of any other what is wrong with it."""
        if refusal := self._objection(submission):
            return refusal
        seal_hash, nonce = bytes.fromhex(submission.seal_hash), submission.nonce
        self._sent[seal_hash, nonce] = None
        while len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)
        params = [f"0x{nonce:016x}", "0x" + submission.seal_hash]
        params.append("0x" + solution_bytes(submission.edges).hex())
        self._ident += 1
        try:
            said = await self._ask(self._ident, "ctxc_submitWork", params)
        except PoolLost as lost:
            return SubmissionReply(outcome="stale", detail=str(lost))
        return _verdict(said)

    def _objection(self, submission: Submission) -> SubmissionReply | None:
        seal_hash, edges = bytes.fromhex(submission.seal_hash), submission.edges
        job = self._jobs.get(seal_hash)
        if job is None:
            return SubmissionReply(outcome="stale", detail="not sent: the pool's job is too old")
        if (seal_hash, submission.nonce) in self._sent:
            return SubmissionReply(
                outcome="rejected", duplicate=True, detail="not sent: it was sent before"
            )
        fit = len(edges) == self._chain.proof_size
        fit = fit and all(0 <= edge < 1 << self._chain.edge_bits for edge in edges)
        if not fit or int.from_bytes(solution_hash(edges), "big") > job.target:
            return SubmissionReply(outcome="rejected", detail="not sent: above the job's target")
        graph = graph_header(seal_hash, submission.nonce)
        if not self._verify_cycle(graph, edges, self._chain.edge_bits, self._chain.rounds):
            return SubmissionReply(outcome="rejected", detail="not sent: the edges are no cycle")
        return None

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._writer.wait_closed(), 1.0)

    async def _get_work(self) -> None:
        said = await self._ask(GET_WORK, "ctxc_getWork", [""])
        if not said.get("result"):
            raise PoolLost(f"the pool gives no work: {_reason(said)}")
        self._take(said["result"])

    async def _ask(self, ident: int, method: str, params: list[str]) -> Mapping[str, Any]:
        """The pool's answer. Raises `PoolLost` where none comes in time."""
        writer, listening = self._writer, self._listening
        if writer is None or listening is None or len(self._waiting) >= MAX_WAITING:
            raise PoolLost("not connected, or too much is unanswered")
        body = {"id": ident, "jsonrpc": "2.0", "method": method, "params": params}
        answer = self._waiting[ident] = asyncio.get_running_loop().create_future()
        try:
            writer.write(json.dumps(body | {"worker": self.pool.worker}).encode() + b"\n")
            await asyncio.wait(
                [answer, listening],
                timeout=ANSWER_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._waiting.pop(ident, None)
        if answer.done():
            said: Mapping[str, Any] = answer.result()
            return said
        if listening.done():
            listening.result()
        raise PoolLost(f"the pool does not answer {method}")

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Read lines until the pool is lost: always raises."""
        clock = asyncio.get_running_loop().time
        second, lines = clock(), 0
        while True:
            lines += 1
            if clock() - second >= 1.0:
                second, lines = clock(), 0
            if lines > MAX_LINES_PER_SECOND:
                raise PoolLost("the pool floods the farm with lines")
            try:
                line = await reader.readline()
            except (OSError, ValueError) as error:
                raise PoolLost(f"the pool's line cannot be read: {error}") from error
            if not line:
                raise PoolLost("the pool hung up")
            self._hear(_read_line(line))

    def _hear(self, said: Mapping[str, Any]) -> None:
        ident = said.get("id")
        if ident in (NEWS, None) and said.get("result"):
            self._take(said["result"])
        elif isinstance(ident, int) and ident in self._waiting:
            waiting = self._waiting[ident]
            if not waiting.done():
                waiting.set_result(said)

    def _take(self, result: object) -> None:
        job = read_job(result)
        newest = next(reversed(self._jobs.values()), None)
        self._jobs.pop(job.seal_hash, None)
        self._jobs[job.seal_hash] = job
        while len(self._jobs) > MAX_JOBS:
            self._jobs.popitem(last=False)
        if job != newest:
            self.on_job(self.work())


def read_job(result: object) -> Job:
    """Of ``[seal hash, zero seed, target, height]``, the last of which may be missing. Raises
    `PoolLost`."""
    if not isinstance(result, list) or len(result) not in (3, 4):
        raise PoolLost(f"the pool's job is none: {str(result)[:80]}")
    seal_hash, _, target = (_hash(word) for word in result[:3])
    height = 0
    if len(result) == 4:
        with suppress(ValueError):
            height = int(str(result[3])[:20], 16)
    number = int.from_bytes(target, "big")
    if number == 0 or height < 0:
        raise PoolLost("the pool's target is 0, which no share meets")
    return Job(seal_hash, number, height)


def _hash(word: object) -> bytes:
    try:
        found = bytes.fromhex(str(word).removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise PoolLost(f"the pool's job holds no 32 bytes in hex: {str(word)[:80]}")
    return found


def _read_line(line: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PoolLost(f"the pool says what is no JSON: {line[:80]!r}") from error
    if not isinstance(said, dict):
        raise PoolLost(f"the pool says what is no stratum: {line[:80]!r}")
    return said


def _verdict(said: Mapping[str, Any]) -> SubmissionReply:
    if said.get("result") is True:
        return SubmissionReply(outcome="accepted", detail="taken by the pool")
    error = said.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return SubmissionReply(
        outcome="stale" if code == STALE else "rejected",
        duplicate=code == DUPLICATE,
        detail=f"the pool: {_reason(said)}",
    )


def _reason(said: Mapping[str, Any]) -> str:
    """Why, as the pool says it; shortened and printable."""
    error = said.get("error")
    text = error.get("message") if isinstance(error, dict) else error
    words = str(text)[:120] if text else "it gives no reason"
    return "".join(c if c.isprintable() else "?" for c in words)


def read_password(path: str) -> str:
    """The first line. Raises `PoolLost` where it cannot be read or others may read it."""
    if not path:
        return ""
    file = Path(path).expanduser()
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise PoolLost(f"others may read {file}; set its mode to 600")
        return file.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PoolLost(f"the password in {file} cannot be read: {error}") from error


def _tls(pool: PoolSection) -> ssl.SSLContext | None:
    if not pool.is_tls:
        return None
    return ssl.create_default_context(cafile=pool.certificate or None)
