"""The planner's decisions, newest first, each with what it saw."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.api.paging import LARGEST, Before
from farmctl.errors import NotFound
from farmctl.store import plans

router = APIRouter(prefix="/v1", tags=["plans"])
Number = Annotated[int, Path(ge=0, le=LARGEST)]


@router.get("/plans")
async def list_plans(
    request: Request,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Before = None,
) -> list[schemas.PlanView]:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return [farm.views.plan(plan) for plan in plans.recent(tx, limit, before)]


@router.get("/plans/{number}")
async def show_plan(request: Request, caller: Reader, number: Number) -> schemas.PlanView:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        found = plans.find(tx, number)
    if found is None:
        raise NotFound(f"there is no plan {number}")
    return farm.views.plan(found)


@router.get("/plans/{number}/inputs")
async def show_inputs(request: Request, caller: Reader, number: Number) -> dict[str, Any]:
    """Policy, inventory and market that the planner saw."""
    farm = find_farm(request)
    with farm.store.begin() as tx:
        found = plans.inputs(tx, number)
    if found is None:
        raise NotFound(f"there is no plan {number}")
    return found
