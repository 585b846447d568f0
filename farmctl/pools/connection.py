"""Lines of JSON to a pool and from it, within bounds."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from farmctl.errors import FarmError
from farmctl.pools.settings import PoolSection

CONNECT_SECONDS = 10.0
#: Devices wait for a reply five seconds.
ANSWER_SECONDS = 4.0
MAX_LINE_BYTES = 16 * 1024
MAX_LINES_PER_SECOND = 500
MAX_WAITING = 64
QUIT_SECONDS = 1.0

Said = Mapping[str, Any]


class PoolLost(FarmError):
    """The pool cannot be used now; the message says why."""


class PoolConnection:
    """``on_news`` is called with each line that answers nothing, and may raise `PoolLost`."""

    def __init__(self, pool: PoolSection, on_news: Callable[[Said], None]) -> None:
        self._pool, self._on_news = pool, on_news
        self._waiting: dict[int | str, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises `PoolLost`."""
        host, port = self._pool.address
        try:
            async with asyncio.timeout(CONNECT_SECONDS):  # wait_for may lose a cancellation
                reader, self._writer = await asyncio.open_connection(
                    host, port, limit=MAX_LINE_BYTES, ssl=_tls(self._pool)
                )
        except (OSError, TimeoutError) as error:
            raise PoolLost(f"{host}:{port} cannot be reached: {error or 'no answer'}") from error
        self._listening = asyncio.create_task(self._listen(reader))

    async def ask(self, ident: int | str, request: Said) -> Said:
        """The pool's answer to a request of that id. Raises `PoolLost` where none comes in
        time."""
        writer, listening = self._writer, self._listening
        if writer is None or listening is None or len(self._waiting) >= MAX_WAITING:
            raise PoolLost("not connected, or too much is unanswered")
        answer = self._waiting[ident] = asyncio.get_running_loop().create_future()
        try:
            writer.write(json.dumps({"id": ident, "jsonrpc": "2.0", **request}).encode() + b"\n")
            await asyncio.wait(
                [answer, listening],
                timeout=ANSWER_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._waiting.pop(ident, None)
        if answer.done():
            said: Said = answer.result()
            return said
        if listening.done():
            listening.result()
        raise PoolLost(f"the pool does not answer {request['method']}")

    async def listen_for(self, seconds: float) -> None:
        """Raises `PoolLost` as soon as the pool is."""
        if self._listening is None:
            raise PoolLost("not connected")
        await asyncio.wait([self._listening], timeout=seconds)
        if self._listening.done():
            self._listening.result()

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._writer.wait_closed(), QUIT_SECONDS)

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

    def _hear(self, said: Said) -> None:
        ident = said.get("id")
        waiting = self._waiting.get(ident) if isinstance(ident, int | str) else None
        if waiting is None:
            self._on_news(said)
        elif not waiting.done():
            waiting.set_result(said)


def _read_line(line: bytes) -> Said:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PoolLost(f"the pool says what is no JSON: {line[:80]!r}") from error
    if not isinstance(said, dict):
        raise PoolLost(f"the pool says what is no stratum: {line[:80]!r}")
    return said


def error_code(said: Said) -> int | None:
    error = said.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else None


def reason(said: Said) -> str:
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
