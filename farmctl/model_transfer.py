"""Files of models and inputs over the bus, in parts: ``node.model`` from both of its ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from farmctl.bus import Bus
from farmctl.errors import NotFound
from farmctl.messages import CHUNK_BYTES, ModelReply, ModelRequest
from node.models.content import CONTENT_BYTES_LIMIT
from node.models.errors import StorageError

FileName = Literal["symbol", "params", "data"]
TIMEOUT_SECONDS = 5.0


def give(
    read: Callable[[bytes, str], bytes], request: ModelRequest, chunk_bytes: int = CHUNK_BYTES
) -> ModelReply:
    """A part of a file; ``read`` is a storage's."""
    try:
        content = read(bytes.fromhex(request.model), request.file)
    except (ValueError, StorageError) as error:
        return ModelReply(found=False, detail=str(error))
    chunk = content[request.offset : request.offset + chunk_bytes]
    return ModelReply(found=True, total_bytes=len(content), chunk=chunk)


async def ask(bus: Bus, infohash: str, name: FileName, offset: int = 0) -> ModelReply:
    """The node's part of a file from ``offset`` on. Raises `BusError` where it does not answer."""
    request = ModelRequest(model=infohash, file=name, offset=offset)
    return await bus.request("node.model", request, ModelReply, TIMEOUT_SECONDS)


async def fetch(bus: Bus, infohash: str, name: FileName) -> bytes:
    """A file of the node's, whole and not proved. Raises `NotFound` or `BusError`."""
    content = bytearray()
    while True:
        reply = await ask(bus, infohash, name, len(content))
        if not reply.found:
            raise NotFound(f"the node has no model or input {infohash}: {reply.detail}")
        if reply.total_bytes > CONTENT_BYTES_LIMIT:
            raise NotFound(f"{name} of {infohash} has over {CONTENT_BYTES_LIMIT} bytes")
        content += reply.chunk
        if len(content) >= reply.total_bytes or not reply.chunk:
            return bytes(content)
