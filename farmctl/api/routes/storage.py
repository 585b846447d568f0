"""Files on their way to the node's storage: models and inputs before they are published."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from farmctl.api import schemas
from farmctl.api.auth import Seller, find_farm
from farmctl.errors import BadRequest
from farmctl.messages import ArtifactChunk, KeepReply, KeepRequest
from farmctl.store import audit

router = APIRouter(prefix="/v1", tags=["storage"])
Bytes = Annotated[int, Query(ge=0, le=1 << 30)]
KEEP_SECONDS = 60.0


@router.put("/artifacts/{artifact}")
async def put_chunk(
    request: Request, caller: Seller, artifact: str, total_bytes: Bytes, offset: Bytes = 0
) -> schemas.ArtifactView:
    """Take one chunk of a file named by its SHA-256; chunks come in order."""
    chunk = ArtifactChunk(
        artifact=artifact, offset=offset, total_bytes=total_bytes, chunk=await request.body()
    )
    reply = await find_farm(request).artifacts.put(chunk)
    return schemas.ArtifactView(**reply.model_dump(exclude={"v"}))


@router.post("/storage", status_code=201)
async def keep_files(request: Request, caller: Seller, body: schemas.KeepBody) -> schemas.KeptView:
    """Put files into the node's storage, from which the network and the workers take them."""
    farm = find_farm(request)
    wanted = KeepRequest(files=body.files)
    reply = await farm.bus.request("node.keep", wanted, KeepReply, KEEP_SECONDS)
    if not reply.infohash:
        raise BadRequest(f"the node does not keep these files: {reply.detail}")
    with farm.store.begin() as tx:
        audit.append(tx, farm.clock(), caller.name, "keep", reply.infohash)
    return schemas.KeptView(infohash=reply.infohash)
