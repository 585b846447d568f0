"""A place for workloads to run in, over the bus inside a process, with an artifact store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from farmctl.agent.link import BusLink
from farmctl.bus import Bus
from farmctl.memory_bus import MemoryBus
from farmctl.messages import (
    CHUNK_BYTES,
    ArtifactChunk,
    ArtifactReply,
    ArtifactRequest,
    FaultEvent,
    JobProgress,
    ShareEvent,
)
from farmctl.workloads.base import Place


@dataclass
class ArtifactShelf:
    """Answers ``artifact.put`` and ``artifact.get`` as the controller does, from memory."""

    files: dict[str, bytearray] = field(default_factory=dict)

    async def serve(self, bus: Bus) -> None:
        await bus.serve("artifact.put", ArtifactChunk, self._put)
        await bus.serve("artifact.get", ArtifactRequest, self._get)

    async def _put(self, chunk: ArtifactChunk) -> ArtifactReply:
        held = self.files.setdefault(chunk.artifact, bytearray())
        if chunk.offset == len(held):
            held += chunk.chunk
        complete = len(held) == chunk.total_bytes
        if complete:
            assert hashlib.sha256(held).hexdigest() == chunk.artifact
        return ArtifactReply(stored_bytes=len(held), complete=complete)

    async def _get(self, request: ArtifactRequest) -> ArtifactChunk:
        held = self.files.get(request.artifact, bytearray())
        return ArtifactChunk(
            artifact=request.artifact,
            offset=request.offset,
            total_bytes=len(held),
            chunk=bytes(held[request.offset : request.offset + CHUNK_BYTES]),
        )


@pytest.fixture
def shelf() -> ArtifactShelf:
    return ArtifactShelf()


@pytest.fixture
async def bus(shelf: ArtifactShelf) -> AsyncIterator[MemoryBus]:
    made = MemoryBus()
    await shelf.serve(made)
    yield made
    await made.close()


@pytest.fixture
async def link(bus: MemoryBus) -> AsyncIterator[BusLink]:
    async def connect() -> Bus:
        return bus

    made = BusLink(connect)
    made.start()
    await made.wait()
    yield made
    await made.close()


Told = list[ShareEvent | JobProgress | FaultEvent]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def place(tmp_path: Path, link: BusLink, told: Told) -> Place:
    return Place("rig-a", "cpu:0", "run-1", tmp_path / "rig", link, told.append)


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)
