"""What became of the changes that people asked for."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.errors import NotFound
from farmctl.store import policy

router = APIRouter(prefix="/v1", tags=["switches"])


@router.get("/switches")
async def list_switches(
    request: Request,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    device: Annotated[str | None, Query(max_length=128)] = None,
) -> list[schemas.SwitchView]:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return [farm.views.switch(s) for s in policy.recent_switches(tx, limit, device)]


@router.get("/switches/{switch}")
async def show_switch(request: Request, caller: Reader, switch: str) -> schemas.SwitchView:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        found = policy.find_switch(tx, switch)
    if found is None:
        raise NotFound(f"there is no switch {switch}")
    return farm.views.switch(found)
