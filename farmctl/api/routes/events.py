"""Events for people, newest first."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.api.paging import Before
from farmctl.store import events

router = APIRouter(prefix="/v1", tags=["events"])


@router.get("/events")
async def list_events(
    request: Request,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Before = None,
    subject: Annotated[str | None, Query(max_length=128)] = None,
    least: events.Level = "info",
) -> list[schemas.EventView]:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        found = events.recent(tx, limit, before, subject, least)
        return [farm.views.event(record) for record in found]
