"""A browser lends its processor over a WebSocket (`farmctl.browsers.messages`)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from drivers.errors import BadArgument
from farmctl.api import auth
from farmctl.browsers.messages import (
    MESSAGE_BYTES_LIMIT,
    READER,
    Form,
    FromBrowser,
    Hello,
    RefusedBrowser,
)
from farmctl.browsers.post import BrowserPost
from farmctl.errors import BadRequest, FarmError, Refused

if TYPE_CHECKING:
    from farmctl.farm import Farm

router = APIRouter(prefix="/v1", tags=["lend"])
SCOPE = "lend"
HELLO_SECONDS = 10.0
SEND_SECONDS = 20.0
#: Close codes of our own; the reason is said before.
REFUSED = 4403


@router.websocket("/lend")
async def lend(socket: WebSocket) -> None:
    """Until the browser leaves, or is refused with a reason."""
    connection = Connection(socket)
    await socket.accept()
    try:
        farm = _admit(socket)
        hello = await asyncio.wait_for(connection.read(), HELLO_SECONDS)
        if not isinstance(hello, Hello):
            raise BadRequest("a greeting comes first")
        await _serve(farm, connection, await farm.browsers.admit(hello, connection.send))
    except (FarmError, BadArgument, TimeoutError) as error:
        await connection.refuse(str(error) or "no greeting came in time")
    except WebSocketDisconnect:
        return


def _admit(socket: WebSocket) -> Farm:
    """Raises `Refused` for a stranger, a foreign page or an unknown host."""
    origin = socket.headers.get("origin")
    if not auth.is_known_host(socket):
        raise Refused("unknown host; add it to [api] allowed_hosts")
    if origin is not None and origin.partition("://")[2] != socket.headers.get("host"):
        raise Refused("a page of another site cannot lend to this farm")
    caller = auth.find_token(socket)
    if not caller.scopes & {SCOPE, "operate", "admin"}:
        raise Refused(f"token {caller.name!r} lacks the scope `{SCOPE}`")
    return auth.find_farm(socket)


async def _serve(farm: Farm, connection: Connection, post: BrowserPost) -> None:
    listening = asyncio.create_task(_listen(connection, post))
    try:
        await asyncio.wait((listening, post.broken), return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()
        raise Refused(post.broken.result())
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await farm.browsers.leave(post)


async def _listen(connection: Connection, post: BrowserPost) -> None:
    while True:
        post.browser.hear(await connection.read())


class Connection:
    """One WebSocket. What is sent to one that has closed is lost."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._turn = asyncio.Lock()

    async def read(self) -> FromBrowser:
        """Raises `BadRequest`, `WebSocketDisconnect`."""
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1006))
        text = received.get("text")
        if text is None or len(text) > MESSAGE_BYTES_LIMIT:
            raise BadRequest("messages are JSON of at most 2 MiB")
        try:
            return READER.validate_json(text)
        except ValidationError as error:
            raise BadRequest(f"a malformed message: {error.errors()[0]['msg']}") from None

    async def send(self, message: Form) -> None:
        """One message at a time; a browser that takes none for long is let go."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            try:
                async with self._turn, asyncio.timeout(SEND_SECONDS):
                    await self._socket.send_text(message.model_dump_json())
            except TimeoutError:
                await self._socket.close(1011)

    async def refuse(self, reason: str) -> None:
        await self.send(RefusedBrowser(reason=reason))
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(REFUSED)
