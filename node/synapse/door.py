"""The service's HTTP: POST /infer, and for its operator GET /metrics and /healthz."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from node.synapse.callers import Callers
from node.synapse.desk import Answer, Desk
from node.synapse.figures import Figures, Kind, Outcome
from node.synapse.messages import (
    NOT_POSTED,
    ContentWork,
    HashWork,
    Reply,
    Unreadable,
    Work,
    outage,
    read_work,
)
from node.synapse.settings import SynapseSettings

#: A longer request is looked up by its digest, which takes less than reading it.
DIGESTED_BYTES = 16 * 1024
#: A longer one is read by a thread.
LONG_BYTES = 1024**2
JSON = b"application/json"

#: Lines in the log, a second.
LOG_LINES = 20

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)


class TooLong(Exception):
    """The request has more bytes than are allowed; the text says which bound."""


class CallerLeft(Exception):
    """Nobody waits for the answer."""


class LogRate:
    """So many lines each second; what is beyond is counted."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second, self._written, self._unseen = 0, 0, 0

    def take(self) -> int | None:
        """None where the line is one too many, else how many were so since the last one."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= LOG_LINES:
            self._unseen += 1
            return None
        self._written += 1
        unseen, self._unseen = self._unseen, 0
        return unseen


class Door:
    """An ASGI application. ``describe`` says for people how the service does."""

    def __init__(
        self,
        desk: Desk,
        settings: SynapseSettings,
        figures: Figures,
        describe: Callable[[], dict[str, Any]],
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._figures = figures
        self._describe = describe
        self._callers = Callers(settings)
        self.held_bytes = 0
        """Of requests that are read or worked on."""
        self._rate = LogRate()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/infer":
            await self._serve(scope, receive, send)
        elif not self._callers.is_allowed(_caller(scope)):
            await _send(send, b"not allowed\n", status=403)
        elif path == "/metrics":
            self._describe()
            await _send(send, self._figures.render(), CONTENT_TYPE_LATEST.encode())
        elif path == "/healthz":
            await _send(send, json.dumps(self._describe()).encode() + b"\n", JSON)
        else:
            await _send(send, b"POST /infer, GET /metrics, GET /healthz\n", status=404)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        caller = _caller(scope)
        kind, closes = Kind.UNREAD, False
        try:
            kind, (reply, outcome) = await self._judge(scope, receive, caller, began)
        except TooLong as error:
            reply, outcome, closes = outage(str(error)), Outcome.BUSY, True
        except CallerLeft:
            return
        seconds = time.perf_counter() - began
        self._figures.count_request(kind, outcome, seconds)
        self._log(caller, kind, outcome, seconds, reply)
        closes = closes or outcome is Outcome.REFUSED
        await _send(send, reply.encode(), JSON, closes=closes)

    def _log(self, caller: str, kind: Kind, outcome: Outcome, seconds: float, reply: Reply) -> None:
        """A line for each failure, up to a rate; for each result where that is asked for."""
        if outcome is Outcome.OK:
            log.debug("%s: %s in %.4f s", caller, kind, seconds, extra={"action": "inferred"})
            return
        unseen = self._rate.take()
        if unseen is None:
            return
        text = reply.data.decode("ascii") + (f" ({unseen} more before)" if unseen else "")
        words = (caller, kind, outcome, seconds, text)
        log.warning("%s: %s: %s in %.3f s: %s", *words, extra={"action": "infer_refused"})

    async def _judge(
        self, scope: Scope, receive: Receive, caller: str, began: float
    ) -> tuple[Kind, Answer]:
        if not self._callers.is_allowed(caller):
            refused = outage(f"{caller} is on no list of allowed callers")
            return Kind.UNREAD, (refused, Outcome.REFUSED)
        if scope["method"] != "POST":
            return Kind.UNREAD, (Reply(NOT_POSTED.encode(), False), Outcome.MALFORMED)
        if not await self._wait_turn(caller):
            return Kind.UNREAD, (outage("too many requests of this caller"), Outcome.BUSY)
        body = bytearray()
        try:
            await self._read(receive, body)
            return await self._answer(body, self._callers.is_first(caller), began)
        finally:
            self.held_bytes -= len(body)

    async def _answer(self, body: bytearray, goes_first: bool, began: float) -> tuple[Kind, Answer]:
        digest = b""
        if len(body) > DIGESTED_BYTES:
            digest = hashlib.sha256(body).digest()
            known = self._desk.recall(digest)
            if known is not None:
                return Kind.CONTENT, (known, Outcome.OK)
        try:
            if len(body) > LONG_BYTES:
                work = await asyncio.to_thread(read_work, body)
            else:
                work = read_work(body)
        except Unreadable as error:
            text = str(error).encode("ascii", "replace")
            return Kind.UNREAD, (Reply(text, False), Outcome.MALFORMED)
        left = self._settings.deadline_seconds - (time.perf_counter() - began)
        return _kind(work), await self._desk.answer(work, goes_first, left, digest)

    async def _wait_turn(self, caller: str) -> bool:
        """Hold a caller to his rate; whether he was served in time."""
        seconds = self._callers.take_turn(caller)
        if seconds > self._settings.deadline_seconds:
            self._callers.give_back(caller)
            return False
        if seconds:
            await asyncio.sleep(seconds)
        return True

    async def _read(self, receive: Receive, body: bytearray) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise CallerLeft
            chunk = message.get("body", b"")
            body += chunk
            self.held_bytes += len(chunk)
            more = message.get("more_body", False)
            if len(body) > self._settings.max_body_bytes:
                raise TooLong(f"a request has at most {self._settings.max_body_bytes} bytes")
            if self.held_bytes > self._settings.max_waiting_bytes:
                raise TooLong(f"requests of {self._settings.max_waiting_bytes} bytes wait already")


def _caller(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


def _kind(work: Work) -> Kind:
    if isinstance(work, HashWork):
        return Kind.HASH
    return Kind.CONTENT if isinstance(work, ContentWork) else Kind.GAS


async def _send(
    send: Send,
    body: bytes,
    content_type: bytes = b"text/plain",
    status: int = 200,
    closes: bool = False,
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    if closes:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
