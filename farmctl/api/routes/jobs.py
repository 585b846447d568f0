"""Training jobs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, Seller, find_farm
from farmctl.store import jobs

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.get("/jobs")
async def list_jobs(
    request: Request, caller: Reader, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> list[schemas.JobView]:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return [farm.views.job(tx, record) for record in jobs.recent(tx, limit)]


@router.get("/jobs/{job}")
async def show_job(request: Request, caller: Reader, job: str) -> schemas.JobView:
    farm = find_farm(request)
    record = farm.queue.find(job)
    with farm.store.begin() as tx:
        return farm.views.job(tx, record)


@router.post("/jobs/{job}/cancel")
async def cancel_job(request: Request, caller: Seller, job: str) -> schemas.JobView:
    farm = find_farm(request)
    record = await farm.queue.cancel(job, caller.name)
    with farm.store.begin() as tx:
        return farm.views.job(tx, record)
