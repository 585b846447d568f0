"""Who changed what, newest first."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.api.paging import Before
from farmctl.store import audit

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/audit")
async def list_audit(
    request: Request,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Before = None,
) -> list[schemas.AuditView]:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return [farm.views.audit(entry) for entry in audit.recent(tx, limit, before)]
