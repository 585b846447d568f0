"""The embedded node: its state and blocks, by its own JSON-RPC."""

import asyncio
from typing import Annotated

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
