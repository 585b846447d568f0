"""The farm at a glance."""

from fastapi import APIRouter, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm

router = APIRouter(prefix="/v1", tags=["overview"])


@router.get("/overview")
async def show_overview(request: Request, caller: Reader) -> schemas.OverviewView:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return farm.views.overview(tx)
