from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from farmctl.agent.artifacts import fetch_artifact, put_artifact
from farmctl.artifacts import Artifacts
from farmctl.errors import BadRequest, BusError, StoreError
from farmctl.memory_bus import MemoryBus
from farmctl.messages import CHUNK_BYTES, ArtifactChunk, ArtifactRequest

CONTENT = os.urandom(2 * CHUNK_BYTES + 17)
NAME = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts", 100 * CHUNK_BYTES)


async def serve(artifacts: Artifacts) -> MemoryBus:
    bus = MemoryBus()
    await bus.serve("artifact.put", ArtifactChunk, artifacts.put)
    await bus.serve("artifact.get", ArtifactRequest, artifacts.get)
    return bus


def chunk(offset: int, content: bytes = CONTENT, name: str = NAME) -> ArtifactChunk:
    part = content[offset : offset + CHUNK_BYTES]
    return ArtifactChunk(artifact=name, offset=offset, total_bytes=len(content), chunk=part)


async def test_file_crosses_the_bus_and_back(artifacts: Artifacts, tmp_path: Path) -> None:
    bus = await serve(artifacts)
    assert await put_artifact(bus, CONTENT) == NAME
    assert await put_artifact(bus, CONTENT) == NAME
    await fetch_artifact(bus, NAME, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == CONTENT
    assert [path.name for path in artifacts.folder.iterdir()] == [NAME]


async def test_upload_that_broke_off_goes_on(artifacts: Artifacts) -> None:
    await artifacts.put(chunk(0))
    again = Artifacts(artifacts.folder, artifacts.limit_bytes)
    assert (await again.put(chunk(0))).stored_bytes == CHUNK_BYTES
    assert (await again.put(chunk(2 * CHUNK_BYTES))).stored_bytes == CHUNK_BYTES
    await again.put(chunk(CHUNK_BYTES))
    assert (await again.put(chunk(2 * CHUNK_BYTES))).complete


async def test_content_that_is_not_what_its_name_says_is_not_kept(artifacts: Artifacts) -> None:
    reply = await artifacts.put(chunk(0, b"something else"))
    assert not reply.complete
    assert list(artifacts.folder.iterdir()) == []


async def test_names_that_lead_elsewhere_are_refused(artifacts: Artifacts) -> None:
    for name in ("../../etc/passwd", "", "A" * 64):
        with pytest.raises(BadRequest):
            await artifacts.get(ArtifactRequest(artifact=name))


async def test_unknown_artifact_has_no_bytes(artifacts: Artifacts) -> None:
    assert (await artifacts.get(ArtifactRequest(artifact="0" * 64))).total_bytes == 0


async def test_full_folder_and_full_disk_are_told_to_the_rig(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = await serve(Artifacts(artifacts.folder, CHUNK_BYTES))
    with pytest.raises(BusError, match="artifact_bytes"):
        await put_artifact(small, CONTENT)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="No space left"):
        await artifacts.put(chunk(0))
    assert not (artifacts.folder / NAME).exists()


async def test_only_what_is_referred_to_stays(artifacts: Artifacts) -> None:
    bus = await serve(artifacts)
    other = await put_artifact(bus, b"old")
    await put_artifact(bus, CONTENT)
    assert artifacts.remove(frozenset({NAME}), before=0.0) == 0
    assert artifacts.remove(frozenset({NAME}), before=time.time() + 1) == 1
    assert (artifacts.folder / NAME).exists()
    assert not (artifacts.folder / other).exists()
