"""Files to and from the controller's store."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from farmctl.agent.artifacts import fetch_artifact, put_artifact
from farmctl.errors import BadRequest, BusError, Unavailable
from farmctl.memory_bus import MemoryBus
from farmctl.messages import CHUNK_BYTES, ArtifactChunk, ArtifactReply
from tests.farmctl.rig_bench import ArtifactShelf


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES - 5])
async def test_a_file_comes_back_whole(
    bus: MemoryBus, shelf: ArtifactShelf, tmp_path: Path, size: int
) -> None:
    content = bytes(index % 251 for index in range(size))
    artifact = await put_artifact(bus, content)
    assert artifact == hashlib.sha256(content).hexdigest()
    assert shelf.files[artifact] == content
    await fetch_artifact(bus, artifact, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


async def test_an_upload_goes_on_where_it_broke_off(bus: MemoryBus, shelf: ArtifactShelf) -> None:
    content = bytes(2 * CHUNK_BYTES)
    artifact = hashlib.sha256(content).hexdigest()
    shelf.files[artifact] = bytearray(content[:CHUNK_BYTES])
    assert await put_artifact(bus, content) == artifact
    assert shelf.files[artifact] == content


async def test_an_unknown_or_damaged_artifact_is_never_written(
    bus: MemoryBus, shelf: ArtifactShelf, tmp_path: Path
) -> None:
    shelf.files["ab" * 32] = bytearray(b"something else")
    for artifact in ("ab" * 32, "cd" * 32):
        with pytest.raises(BadRequest):
            await fetch_artifact(bus, artifact, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_store_that_takes_nothing_is_told(tmp_path: Path) -> None:
    bus = MemoryBus()
    with pytest.raises(BusError):
        await put_artifact(bus, b"x")

    async def refuse(_chunk: ArtifactChunk) -> ArtifactReply:
        return ArtifactReply(stored_bytes=0, complete=False, detail="the disk is full")

    await bus.serve("artifact.put", ArtifactChunk, refuse)
    with pytest.raises(Unavailable, match="the disk is full"):
        await put_artifact(bus, b"x")
