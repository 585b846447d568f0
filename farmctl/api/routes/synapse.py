"""Remote inference: how the service for the nodes of others does."""

from fastapi import APIRouter, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm

router = APIRouter(prefix="/v1/synapse", tags=["inference"])


class SynapseView(schemas.Body):
    """Counts are since the service's process began."""

    listen: str
    engine: str
    uptime_seconds: float
    requests: dict[str, int]
    """By outcome: ok, logic_error, unavailable, late, busy, malformed, refused."""
    connections: int
    waiting: int
    kept_results: int
    kept_bytes: int
    resident_models: int
    resident_bytes: int
    p50_milliseconds: float | None
    p99_milliseconds: float | None
    following: int | None
    """1 while the followed node answers; null where none is followed."""
    follow_block: int | None
    follow_wanted: int | None
    prefetched_bytes: int | None


class SynapseState(schemas.Body):
    configured: bool
    """`farmctl up` serves it here."""
    service: SynapseView | None
    """None where no service reports."""


@router.get("")
async def show_synapse(request: Request, caller: Reader) -> SynapseState:
    farm = find_farm(request)
    status = farm.synapse()
    view = None if status is None else SynapseView(**status.model_dump(exclude={"v"}))
    return SynapseState(configured=bool(farm.config.synapse.listen), service=view)
