"""The embedded node: its state, blocks and models, by its own JSON-RPC."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.api.paging import Before

router = APIRouter(prefix="/v1", tags=["node"])


@router.get("/node")
async def show_node(request: Request, caller: Reader) -> schemas.NodeView:
    return find_farm(request).views.node()


@router.get("/blocks")
async def list_blocks(
    request: Request,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    before: Before = None,
) -> list[schemas.BlockView]:
    """Newest first, from the head or from below ``before`` on."""
    farm = find_farm(request)
    top = before
    if top is None:
        top = int(await farm.node.call("eth_blockNumber"), 16) + 1
    numbers = range(top - 1, max(-1, top - 1 - limit), -1)
    found = await asyncio.gather(*(farm.node.block(number) for number in numbers))
    return [farm.views.block(block) for block in found if block is not None]


@router.get("/models")
async def list_models(request: Request, caller: Reader) -> list[schemas.ModelView]:
    found = await find_farm(request).node.call("ctxc_models")
    return [show_model(model) for model in found]


def show_model(model: dict[str, Any]) -> schemas.ModelView:
    """A model of the JSON-RPC's ``ctxc_models``, whose quantities are hex."""
    return schemas.ModelView(
        address=model["address"],
        infohash=model["infohash"],
        comment=model["comment"],
        author=model["author"],
        input_shape=model["inputShape"],
        output_shape=model["outputShape"],
        raw_size=int(model["rawSize"], 16),
        gas=int(model["gas"], 16),
        block=int(model["block"], 16),
        usable=model["usable"],
        reason=model["reason"],
        calls=int(model["calls"], 16),
        here=model["storage"]["here"],
        copies=int(model["storage"]["copies"], 16),
        copies_required=int(model["storage"]["required"], 16),
        fetched_ratio=model["storage"]["fetched"],
        storage_problem=model["storage"]["problem"],
    )
