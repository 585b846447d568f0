"""How rigs join the farm and leave it."""

from fastapi import APIRouter, Request
from pydantic import Field

from farmctl.api import auth, schemas
from farmctl.api.auth import Admin, Reader, find_farm
from farmctl.errors import Unauthorised
from farmctl.fleet import enrolment
from farmctl.store import tokens

router = APIRouter(prefix="/v1", tags=["rigs"])
_failures = auth.Failures()


class EnrolmentRequest(schemas.Body):
    rig: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Lower-case letters, digits and dashes."""


class EnrolmentView(schemas.Body):
    rig: str
    code: str
    """Works once."""
    expires: float


class OpenEnrolmentView(schemas.Body):
    rig: str
    expires: float
    """Until when its machine may join."""


class EnrolRequest(schemas.Body):
    code: str = Field(min_length=1, max_length=200)
    key: str = Field(max_length=100)
    """The rig's public nkey."""
    certificate_request: str = Field(max_length=10_000)
    """PEM, signed by the rig's own EC key."""


class AdmissionView(schemas.Body):
    rig: str
    certificate: str
    authority: str
    bus_port: int
    bus_secured: bool
    """Whether the bus speaks mutual TLS."""


@router.post("/enrolments")
async def create_enrolment(
    request: Request, caller: Admin, body: EnrolmentRequest
) -> EnrolmentView:
    """A one-time code for one rig."""
    code, expires = enrolment.create_code(find_farm(request), body.rig, caller.name)
    return EnrolmentView(rig=body.rig, code=code, expires=expires)


@router.get("/enrolments")
async def list_enrolments(request: Request, caller: Reader) -> list[OpenEnrolmentView]:
    """Rigs that have a code which they have not used yet."""
    farm = find_farm(request)
    with farm.store.begin() as tx:
        found = tokens.codes(tx, enrolment.PURPOSE, farm.clock())
    return [OpenEnrolmentView(rig=rig, expires=expires) for rig, expires in found]


@router.post("/enrol")
async def enrol_rig(request: Request, body: EnrolRequest) -> AdmissionView:
    """Needs no token but the code: the rig sends its public keys and may join the bus."""
    farm = find_farm(request)
    if _failures.too_many(farm.clock()):
        raise Unauthorised("too many wrong codes; wait a minute")
    try:
        admission = enrolment.enrol(farm, body.code, body.key, body.certificate_request)
    except Unauthorised:
        _failures.note(farm.clock())
        raise
    return AdmissionView(**vars(admission))


@router.delete("/rigs/{rig}", status_code=204)
async def remove_rig(request: Request, caller: Admin, rig: str) -> None:
    """Cut a rig off and forget it."""
    enrolment.remove(find_farm(request), rig, caller.name)
