"""Training jobs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from farmctl.api import schemas
from farmctl.api.auth import Reader, Seller, find_farm
from farmctl.api.paging import BeforeName
from farmctl.errors import NotFound
from farmctl.store import jobs

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.get("/jobs")
async def list_jobs(
    request: Request,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: BeforeName = None,
) -> list[schemas.JobView]:
    """Newest first, from the one that follows the job ``before``."""
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return [farm.views.job(tx, record) for record in jobs.recent(tx, limit, before)]


@router.get("/jobs/{job}")
async def show_job(request: Request, caller: Reader, job: str) -> schemas.JobView:
    farm = find_farm(request)
    record = farm.queue.find(job)
    with farm.store.begin() as tx:
        return farm.views.job(tx, record)


@router.get("/jobs/{job}/results/{name}", response_class=FileResponse)
async def give_result(request: Request, caller: Reader, job: str, name: str) -> FileResponse:
    """A file that the job has left, by the name in its ``results``."""
    farm = find_farm(request)
    artifact = farm.queue.find(job).results.get(name, "")
    path = farm.artifacts.find(artifact)
    if path is None:
        raise NotFound(f"job {job} has left no file {name!r}; its results say what it has left")
    return FileResponse(path, media_type="application/octet-stream", filename=name)


@router.post("/jobs/{job}/cancel")
async def cancel_job(request: Request, caller: Seller, job: str) -> schemas.JobView:
    farm = find_farm(request)
    record = await farm.queue.cancel(job, caller.name)
    with farm.store.begin() as tx:
        return farm.views.job(tx, record)
