"""Live changes as server-sent events: overview, device, block, switch, job, event."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from farmctl.api.auth import Reader, find_farm
from farmctl.errors import Unavailable
from farmctl.live import LISTENERS, Live

router = APIRouter(prefix="/v1", tags=["stream"])
PING_SECONDS = 10


@router.get("/stream", response_class=EventSourceResponse)
async def stream(request: Request, caller: Reader) -> EventSourceResponse:
    """Each event's data is the JSON of the same view that its resource answers with."""
    live = find_farm(request).live
    if live.listeners >= LISTENERS:
        raise Unavailable("too many open streams; close some")
    return EventSourceResponse(_notices(live), ping=PING_SECONDS)


async def _notices(live: Live) -> AsyncIterator[ServerSentEvent]:
    with live.listen() as listener:
        while (notice := await listener.get()) is not None:
            yield ServerSentEvent(event=notice.kind, data=notice.body.model_dump_json())
