"""Devices: their state, their readings, and what people want of them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Operator, Reader, find_farm
from farmctl.domain import device_key
from farmctl.errors import NotFound
from farmctl.store import inventory

router = APIRouter(prefix="/v1", tags=["devices"])
PATH = "/devices/{rig}/{device}"
DAY_SECONDS = 86_400.0


@router.get("/devices")
async def list_devices(request: Request, caller: Reader) -> list[schemas.DeviceView]:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        return farm.views.devices(tx)


@router.get(PATH)
async def show_device(
    request: Request, caller: Reader, rig: str, device: str
) -> schemas.DeviceView:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        found = farm.views.device(tx, device_key(rig, device))
    if found is None:
        raise _unknown(rig, device)
    return found


@router.get(PATH + "/readings")
async def show_readings(
    request: Request,
    caller: Reader,
    rig: str,
    device: str,
    field: Annotated[str, Query(max_length=64)],
    seconds: Annotated[float, Query(gt=0, le=800 * DAY_SECONDS)] = 3600.0,
) -> schemas.SeriesView:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        if inventory.find_device(tx, device_key(rig, device)) is None:
            raise _unknown(rig, device)
        return farm.views.series(tx, device_key(rig, device), field, seconds)


@router.post(PATH + "/switch")
async def switch_device(
    request: Request, caller: Operator, rig: str, device: str, body: schemas.SwitchRequest
) -> schemas.SwitchView:
    """Ask for a workload; the answer is pending until the rig confirms it."""
    farm = find_farm(request)
    asked = await farm.requests.switch(
        device_key(rig, device), body.workload, body.lock, body.until, caller.name
    )
    return farm.views.switch(asked)


@router.post(PATH + "/unlock")
async def unlock_device(
    request: Request, caller: Operator, rig: str, device: str
) -> schemas.SwitchView:
    farm = find_farm(request)
    asked = await farm.requests.unlock(device_key(rig, device), caller.name)
    return farm.views.switch(asked)


@router.post(PATH + "/pause")
async def pause_device(
    request: Request, caller: Operator, rig: str, device: str
) -> schemas.SwitchView:
    farm = find_farm(request)
    asked = await farm.requests.pause(device_key(rig, device), caller.name)
    return farm.views.switch(asked)


@router.post(PATH + "/resume")
async def resume_device(
    request: Request, caller: Operator, rig: str, device: str
) -> schemas.SwitchView:
    farm = find_farm(request)
    asked = await farm.requests.resume(device_key(rig, device), caller.name)
    return farm.views.switch(asked)


@router.post(PATH + "/clear")
async def clear_device(
    request: Request, caller: Operator, rig: str, device: str
) -> schemas.SwitchView:
    """End a quarantine; the device is tested again before it works."""
    farm = find_farm(request)
    asked = await farm.requests.clear(device_key(rig, device), caller.name)
    return farm.views.switch(asked)


def _unknown(rig: str, device: str) -> NotFound:
    return NotFound(f"there is no device {rig}/{device}; `farmctl status` lists them")
