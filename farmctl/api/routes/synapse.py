"""Remote inference: how the service for the nodes of others does."""

from fastapi import APIRouter, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.synapse.messages import SynapseFigures

router = APIRouter(prefix="/v1/synapse", tags=["inference"])


class SynapseView(SynapseFigures, schemas.Body):
    """Counts are since the service's process began."""


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
