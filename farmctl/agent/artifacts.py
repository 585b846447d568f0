"""Files to and from the controller's artifact store, in chunks, named by their SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

from farmctl.bus import Bus
from farmctl.errors import BadRequest, StoreError, Unavailable
from farmctl.files import write_atomic
from farmctl.messages import CHUNK_BYTES, ArtifactChunk, ArtifactReply, ArtifactRequest

TIMEOUT_SECONDS = 10.0
#: Largest file fetched.
LIMIT_BYTES = 4 * 2**30


async def put_artifact(bus: Bus, content: bytes) -> str:
    """Store ``content``; its id. What the store has already is not sent again.

    Raises `BusError` when nobody answers, `Unavailable` when the store does not take it.
    """
    artifact = hashlib.sha256(content).hexdigest()
    stored = 0
    while True:
        chunk = ArtifactChunk(
            artifact=artifact,
            offset=stored,
            total_bytes=len(content),
            chunk=content[stored : stored + CHUNK_BYTES],
        )
        reply = await bus.request("artifact.put", chunk, ArtifactReply, TIMEOUT_SECONDS)
        if reply.complete:
            return artifact
        if not stored < reply.stored_bytes < len(content):
            raise Unavailable(f"the controller does not store the file: {reply.detail}")
        stored = reply.stored_bytes


async def fetch_artifact(bus: Bus, artifact: str, path: Path) -> None:
    """Write an artifact to ``path``, whole and verified; raises what `read_artifact` does, and
    `StoreError` when the disk does not take it."""
    write_atomic(path, await read_artifact(bus, artifact), 0o600)


async def read_artifact(bus: Bus, artifact: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """An artifact, whole and verified.

    Raises `BusError` when nobody answers, `BadRequest` when it is not the file that its id
    names, `StoreError` when it is too large.
    """
    content = bytearray()
    while True:
        request = ArtifactRequest(artifact=artifact, offset=len(content))
        reply = await bus.request("artifact.get", request, ArtifactChunk, TIMEOUT_SECONDS)
        if reply.total_bytes > limit_bytes:
            raise StoreError(f"artifact {artifact} is larger than {limit_bytes} bytes")
        content += reply.chunk
        if len(content) >= reply.total_bytes or not reply.chunk:
            break
    if hashlib.sha256(content).hexdigest() != artifact:
        raise BadRequest(f"the controller has no whole artifact {artifact}")
    return bytes(content)
