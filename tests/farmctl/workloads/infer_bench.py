"""A runner's INFER with the real CPU session, and the node that it fetches models from."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from farmctl.domain import Priority, Workload
from farmctl.inference.messages import InferReply, InferRequest, worker_subject
from farmctl.memory_bus import MemoryBus
from farmctl.messages import AssignmentMessage, ModelReply, ModelRequest
from farmctl.workloads import infer
from farmctl.workloads.base import Place
from node.models.torrent import describe_folder
from tests.farmctl.rig_bench import until
from tests.node.workshop import dense_model

DEVICE = "rig-a/cpu:0"
SYMBOL, PARAMS = dense_model()
MODEL = describe_folder({"symbol": SYMBOL, "params": PARAMS}).infohash.hex()
BAD = b'{"nodes": 1}'
BAD_MODEL = describe_folder({"symbol": BAD, "params": PARAMS}).infohash.hex()
FILES = {MODEL: {"symbol": SYMBOL, "params": PARAMS}, BAD_MODEL: {"symbol": BAD, "params": PARAMS}}
CHUNK = 100
ASSIGNMENT = AssignmentMessage(
    device="cpu:0", workload=Workload.INFER, priority=Priority.INFER_RESERVE, reason="test"
)


class ModelServer:
    """Answers ``node.model`` in small chunks, as a node does in large ones."""

    def __init__(self) -> None:
        self.files = {model: dict(files) for model, files in FILES.items()}
        self.asked = 0

    async def give(self, request: ModelRequest) -> ModelReply:
        self.asked += 1
        content = self.files.get(request.model, {}).get(request.file)
        if content is None:
            return ModelReply(found=False, detail="unknown")
        chunk = content[request.offset : request.offset + CHUNK]
        return ModelReply(found=True, total_bytes=len(content), chunk=chunk)


async def ask(
    bus: MemoryBus, model: str, data: bytes, seconds: float = 20.0, device: str = DEVICE
) -> InferReply:
    request = InferRequest(model=model, input=data, seconds=seconds)
    return await bus.request(worker_subject(device), request, InferReply, max(seconds, 5.0))


def add_copy(server: ModelServer, number: int) -> str:
    """The dense layer under another name."""
    symbol = SYMBOL + b" " * (number + 1)
    files = {"symbol": symbol, "params": PARAMS}
    name = describe_folder(files).infohash.hex()
    server.files[name] = files
    return name


async def start(place: Place, bus: MemoryBus) -> tuple[infer.Infer, asyncio.Task[None]]:
    """One that takes requests, and its run."""
    made = infer.create(place, ASSIGNMENT)
    assert isinstance(made, infer.Infer)
    await made.start()
    running = asyncio.create_task(made.run())
    subject = worker_subject(place.device)
    await until(lambda: any(one.pattern == subject for one in bus.listeners))
    return made, running


@contextlib.asynccontextmanager
async def serving(place: Place, bus: MemoryBus) -> AsyncIterator[infer.Infer]:
    made, running = await start(place, bus)
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.stop()
