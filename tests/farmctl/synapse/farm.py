"""What the service meets of a farm, on a real bus, and the service in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from farmctl.bus import Bus
from farmctl.config import Config
from farmctl.errors import BusError
from farmctl.inference.messages import InferReply, InferRequest, WorkerStatus, worker_subject
from farmctl.messages import ModelReply, ModelRequest
from farmctl.model_transfer import give
from farmctl.synapse.process import SynapseProcess
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from tests.farmctl.inference.test_board import EMPTY
from tests.node.synapse.go_client import GoClient

DEVICE = "rig-a/cpu:0"


class FarmStandIn:
    """What of a farm the service meets: a node's storage, and a worker, on a real bus."""

    def __init__(self, bus: Bus, root: Path) -> None:
        self.storage = DirectoryStorage(root)
        self._loader = GraphLoader(self.storage)
        self.bus = bus
        self.judge: Callable[[InferRequest], InferReply | None] = lambda request: None
        self.asked = 0

    async def join(self) -> None:
        await self.bus.serve("node.model", ModelRequest, self._give)
        await self.bus.serve(worker_subject(DEVICE), InferRequest, self._infer)
        self._telling = asyncio.create_task(self._tell())

    async def leave(self) -> None:
        self._telling.cancel()
        await asyncio.gather(self._telling, return_exceptions=True)
        await self.bus.close()

    async def _tell(self) -> None:
        status = WorkerStatus(device=DEVICE, limit=64, residency=EMPTY)
        while True:
            with suppress(BusError):
                await self.bus.publish("infer.worker.rig-a", status)
            await asyncio.sleep(0.1)

    async def _give(self, request: ModelRequest) -> ModelReply:
        return give(self.storage.read, request, chunk_bytes=100)

    async def _infer(self, request: InferRequest) -> InferReply:
        self.asked += 1
        said = self.judge(request)
        if said is not None:
            return said
        answer = ReferenceEngine(self._loader).run(request.model, request.input)
        return InferReply(status="ok", output=answer.output)


class Served:
    """The service in this process, over the farm's real bus, and a node's client in a thread."""

    def __init__(self, config: Config, engine: str = "farm") -> None:
        synapse = replace(config.synapse, listen="127.0.0.1:0", engine=engine)
        self._process = SynapseProcess(replace(config, synapse=synapse))
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(self._process.run(self._stop))

    @property
    def port(self) -> int:
        assert self._process.service is not None
        return self._process.service.port

    async def ready(self) -> None:
        while self._process.service is None:
            assert not self._running.done(), self._running
            await asyncio.sleep(0.01)

    async def ask(self, model: bytes, data: bytes | None = None, given: bytes = b"") -> bytes:
        def send() -> bytes:
            with GoClient(self.port) as client:
                if data is None:
                    return client.infer_by_hash(model, given)
                return client.infer_by_content(model, data)

        return await asyncio.to_thread(send)

    async def stop(self) -> None:
        self._stop.set()
        await self._running
