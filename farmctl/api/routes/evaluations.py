"""Test sets that authors publish with their models, run on the farm's own INFER workers."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from farmctl.api import model_views as views
from farmctl.api.auth import Seller, find_farm
from farmctl.errors import Refused
from farmctl.evaluation import EvaluationReply, EvaluationRequest
from farmctl.store import audit

router = APIRouter(prefix="/v1/models", tags=["models"])
Address = Annotated[str, Path(pattern="^0x[0-9a-fA-F]{40}$")]
SetNumber = Annotated[int, Query(ge=-16, lt=16)]
START_SECONDS = 30.0


@router.post("/{address}/evaluation", status_code=202)
async def evaluate_model(
    request: Request,
    caller: Seller,
    address: Address,
    number: SetNumber = -1,
    again: bool = False,
) -> views.EvaluationView:
    """Run a test set of the author's (the newest unless told) on the farm's INFER workers. Asked
    again, it tells how far that is."""
    farm = find_farm(request)
    wanted = EvaluationRequest(model=address, number=number, again=again)
    reply = await farm.bus.request("node.evaluate", wanted, EvaluationReply, START_SECONDS)
    if reply.state == "refused":
        raise Refused(reply.detail)
    if again:
        with farm.store.begin() as tx:
            audit.append(tx, farm.clock(), caller.name, "evaluate", address)
    return views.EvaluationView(
        **reply.model_dump(exclude={"v"}), accuracy=reply.right / reply.done if reply.done else None
    )
