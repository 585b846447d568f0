"""Rigs."""

from fastapi import APIRouter, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.errors import NotFound

router = APIRouter(prefix="/v1", tags=["rigs"])


@router.get("/rigs")
async def list_rigs(request: Request, caller: Reader) -> list[schemas.RigView]:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return farm.views.rigs(tx)


@router.get("/rigs/{rig}")
async def show_rig(request: Request, caller: Reader, rig: str) -> schemas.RigView:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        found = next((r for r in farm.views.rigs(tx) if r.name == rig), None)
    if found is None:
        raise NotFound(f"there is no rig {rig}; `farmctl status` lists them")
    return found
